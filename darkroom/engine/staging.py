"""From RAM to a card: a lane for copies beside the work, slots to copy into, and staging for what is not pinned.

Must not know: which unit runs when.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from darkroom.engine.pinning import HostMemory
from darkroom.engine.resting import Layout, Unit, Views

STAGING_BUFFERS = 3
STAGING_BYTES = 32 << 20
# Seconds between two looks around while a delivery is waited for.
PATIENCE = 0.1


class Lane:
    """Copies to a device, in their own order beside that of the work. On a CPU each happens at once, by the same code:
    torch has streams and events for it that do nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._on_card = device.type == "cuda"
        self._torch: Any = torch.cuda if self._on_card else torch.cpu
        self._copies: Any = self._torch.Stream(device) if self._on_card else self._torch.Stream()

    def source(self, unit: Unit) -> Tensor | None:
        """What can be copied as it is; None for a unit that must pass through staging."""
        return unit.flat if unit.pinned or not self._on_card else None

    def buffer(self, size: int) -> Tensor:
        # What is made in inference mode could not be written from another thread.
        with torch.inference_mode(False):
            return torch.empty(size, dtype=torch.uint8, device=self.device)

    def staging_memory(self, size: int) -> HostMemory:
        memory = HostMemory(size)
        if self._on_card:
            memory.content.zero_()
            memory.pin()
        return memory

    def event(self) -> Any:
        return self._torch.Event()

    def copy(self, source: Tensor, target: Tensor, *, after: Any) -> None:
        with self._torch.stream(self._copies):
            self._copies.wait_event(after)
            target.copy_(source, non_blocking=True)

    def mark_copied(self, event: Any) -> None:
        """`event` is when the copies asked for so far are done."""
        event.record(self._copies)

    def mark_used(self, event: Any) -> None:
        """`event` is when the work asked for so far is done."""
        event.record(self._torch.current_stream(self.device))

    def work_after(self, event: Any) -> None:
        """The work asked for from now on waits for `event`; so does whoever gets memory that is freed from now on."""
        self._torch.current_stream(self.device).wait_event(event)

    def give_back(self) -> None:
        """Freed memory leaves this process."""
        if self._on_card:
            torch.cuda.empty_cache()


class Slot:
    """Memory on the device that one unit at a time has, and two moments: its last copy in, the last work on it."""

    def __init__(self, lane: Lane, size: int) -> None:
        self.buffer = lane.buffer(size)
        self.copied = lane.event()
        self.freed = lane.event()
        # Whoever had this memory before may still be at work on it.
        lane.mark_used(self.freed)
        # Each costs the host some microseconds, and what stays is shown in every pass.
        self._awaited, self._marked = True, True
        self.place = -1
        self.held: Layout | None = None
        self._lane = lane
        self._delivery: Delivery | None = None
        self._views: dict[Layout, Views] = {}

    def fill(self, place: int, unit: Unit, staging: "Staging") -> None:
        """Start the unit's copy, if the slot does not hold it. `place` is only remembered."""
        self.place = place
        if self.held is unit.layout:
            return
        self.cancel()
        self.held = None
        self._mark_used()
        self._awaited = False
        source = self._lane.source(unit)
        if source is None:
            self._delivery = staging.send(unit, self)
        else:
            self._lane.copy(source, self.buffer[: unit.bytes], after=self.freed)
            self._lane.mark_copied(self.copied)
        self.held = unit.layout

    def show(self, unit: Unit) -> None:
        """Point the unit, which was filled in, at this slot; the work waits for the copy. Raises what broke it off."""
        if self._delivery is not None:
            held, self.held = self.held, None
            self._delivery.wait()
            self._delivery, self.held = None, held
        if not self._awaited:
            self._lane.work_after(self.copied)
            self._awaited = True
        self._marked = False
        views = self._views.get(unit.layout)
        if views is None:
            views = self._views[unit.layout] = unit.layout.views(self.buffer)
        unit.show(views)

    def end_turn(self, *, is_filled_soon: bool) -> None:
        """The work on what it shows has been asked for. What is not to be filled anew soon can say so then."""
        if is_filled_soon:
            self._mark_used()

    def cancel(self) -> None:
        """A copy that has not been asked of the device yet never will be."""
        if self._delivery is not None:
            if not self._delivery.cancel():
                self.held = None
            self._delivery = None

    def release(self) -> None:
        """Free the memory, also where the traceback of an exception still names this slot."""
        self.cancel()
        self._lane.work_after(self.copied)
        self._views.clear()
        self.buffer = self._lane.buffer(0)
        self.held = None

    def _mark_used(self) -> None:
        if not self._marked:
            self._lane.mark_used(self.freed)
            self._marked = True


class Delivery:
    """One unit's way through staging into a slot. `issuing` is held while a copy of it is asked of the device."""

    def __init__(
        self, future: Future[None], cancelled: threading.Event, issuing: threading.Lock, meanwhile: Callable[[], None]
    ) -> None:
        self._future = future
        self._cancelled = cancelled
        self._issuing = issuing
        self._meanwhile = meanwhile

    def wait(self) -> None:
        """Until all of it has been asked of the device. Raises what broke it off, and what `meanwhile` raises."""
        while not self._future.done():
            wait([self._future], timeout=PATIENCE)
            self._meanwhile()
        self._future.result()

    def cancel(self) -> bool:
        """Afterwards nothing more of it is asked of the device. True if all of it has been."""
        with self._issuing:
            # Asked first: the thread, once it is told, is soon done too.
            complete = self._future.done() and self._future.exception() is None
            self._cancelled.set()
        return complete


class Staging:
    """A thread that gathers units which are not pinned, piece by piece, into a few buffers that are, and copies those.

    The buffers are made when first needed and stay until `release`; the thread ends with `stop`. Whoever waits for a
    delivery calls `meanwhile` now and then.
    """

    def __init__(self, lane: Lane, *, size: int = STAGING_BYTES, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._lane = lane
        self._size = size
        self._meanwhile = meanwhile
        self._issuing = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._buffers: list[_Buffer] = []
        self._turns: Iterator[_Buffer] = iter(())

    def send(self, unit: Unit, slot: Slot) -> Delivery:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="staging")
        cancelled = threading.Event()
        future = self._thread.submit(self._deliver, unit, slot, cancelled)
        return Delivery(future, cancelled, self._issuing, self._meanwhile)

    def stop(self) -> None:
        """What is under way must have been cancelled, or it is waited for."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None

    def release(self) -> None:
        self.stop()
        self._buffers, self._turns = [], iter(())

    @property
    def ram_bytes(self) -> int:
        return sum(buffer.memory.content.nbytes for buffer in self._buffers)

    def _deliver(self, unit: Unit, slot: Slot, cancelled: threading.Event) -> None:
        for low in range(0, unit.bytes, self._size):
            high = min(low + self._size, unit.bytes)
            if cancelled.is_set():
                return
            buffer = self._next_buffer()
            content = buffer.memory.content[: high - low]
            unit.gather(low, high, content)
            # Once it is cancelled the slot may be filled by another way at once: nothing may come after that.
            with self._issuing:
                if cancelled.is_set():
                    return
                self._lane.copy(content, slot.buffer[low:high], after=slot.freed)
                self._lane.mark_copied(buffer.left)
                self._lane.mark_copied(slot.copied)

    def _next_buffer(self) -> "_Buffer":
        if not self._buffers:
            self._buffers = [_Buffer(self._lane, self._size) for _ in range(STAGING_BUFFERS)]
            self._turns = cycle(self._buffers)
        buffer = next(self._turns)
        buffer.left.synchronize()
        return buffer


class _Buffer:
    """`left` is when the last copy out of it is done."""

    def __init__(self, lane: Lane, size: int) -> None:
        self.memory = lane.staging_memory(size)
        self.left = lane.event()
