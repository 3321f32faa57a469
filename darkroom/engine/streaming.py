"""BlockStream: blocks whose weights rest in RAM visit the card through a fixed ring of slots, copied before their turn.

Some may stay on the card. Never takes more of it than the ring and those; works on a CPU too, as a card without
streams. Must not know: which model the blocks belong to, or how many bytes there are to spend.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from darkroom.engine.resting import Unit
from darkroom.engine.staging import STAGING_BYTES, Lane, Slot, Staging

Place: TypeAlias = int


class BlockStream:
    """Units by their place in `units`. Not for use by several threads.

    `keep`, `open`, `expect`, then the modules run, then `close`; `keep` again only where the choice changes. While it
    is closed the modules are ordinary ones with their weights in RAM. After any exception `close` makes it ready again.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        device: torch.device,
        *,
        staging_bytes: int = STAGING_BYTES,
        prepare: Callable[[Place], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepare` is called before a unit is copied, `meanwhile` now and then while one is waited for."""
        self.units = tuple(units)
        self._prepare = prepare
        _refuse_shared_tensors(self.units)
        self._lane = Lane(device)
        self._staging = Staging(self._lane, size=staging_bytes, meanwhile=meanwhile)
        self._kept: dict[Place, Slot] = {}
        self._ring: tuple[Slot, ...] = ()
        # Each slot of the ring is free (longest first), filled for a coming turn (in their order), or at work.
        self._free: deque[Slot] = deque()
        self._ahead: deque[Slot] = deque()
        self._at_work: Slot | None = None
        self._itinerary = _Itinerary(())
        self._hooks: list[RemovableHandle] = []
        self._opened = False

    @property
    def card_bytes(self) -> int:
        """What it has taken of the card: the ring and those that stay, filled or not."""
        return sum(slot.buffer.nbytes for slot in (*self._ring, *self._kept.values()))

    @property
    def kept(self) -> frozenset[Place]:
        return frozenset(self._kept)

    def keep(self, places: Iterable[Place]) -> None:
        """These units stay on the card, and no others. Those that leave do so before room is taken for those that come.
        Room is taken in the order given, so that what comes last lies together.

        Room is taken now: if there is too little, this raises and none of those that were to come are kept. The
        weights come when the itinerary reaches them, in the order of the copies, so no picture waits for all of them.
        """
        places = tuple(places)
        wanted = frozenset(places)
        if not wanted <= frozenset(range(len(self.units))):
            raise ValueError(f"there are {len(self.units)} units, and these are to stay: {sorted(wanted)}")
        leaving = [
            place
            for place, slot in self._kept.items()
            if place not in wanted or slot.buffer.nbytes != self.units[place].bytes
        ]
        self._leave(leaving)
        if leaving:
            # So that what comes need not find room beside memory that only this process could use.
            self._lane.give_back()
        coming = [place for place in places if place not in self._kept]
        try:
            for place in coming:
                self._kept[place] = Slot(self._lane, self.units[place].bytes)
        except RuntimeError:
            self._leave([place for place in coming if place in self._kept])
            raise

    def open(self, *, slots: int, slot_bytes: int) -> None:
        """Take the ring. Each unit that does not stay must fit into a slot; with none to stream, `slots` may be 0."""
        if self._opened:
            raise RuntimeError("the stream is open already")
        largest = max((unit.bytes for place, unit in enumerate(self.units) if place not in self._kept), default=0)
        if slots and largest > slot_bytes:
            raise ValueError(f"a unit takes {largest} bytes, a slot has {slot_bytes}")
        self._ring = tuple(Slot(self._lane, slot_bytes) for _ in range(slots))
        self._free.extend(self._ring)
        self._opened = True
        for place, unit in enumerate(self.units):
            self._hooks.extend(self._hook(place, unit.module))

    def expect(self, places: Iterable[Place]) -> None:
        """Units will run in this order from now on; replaces what was expected before. Read as it is needed.

        The first copies start at once. What the slots hold already is not copied again.
        """
        if not self._opened:
            raise RuntimeError("the stream is not open")
        self._end_turn()
        self._itinerary = _Itinerary(places)
        self._give_up(len(self._ahead))
        self._advance()

    def close(self) -> None:
        """Free the ring; all weights are at home. What stays on the card stays. Safe to call again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._opened = False
        self._itinerary = _Itinerary(())
        for slot in (*self._ring, *self._kept.values()):
            slot.cancel()
        self._staging.stop()
        for unit in self.units:
            unit.go_home()
        self._at_work = None
        self._free.clear()
        self._ahead.clear()
        ring, self._ring = self._ring, ()
        for slot in ring:
            slot.release()

    def drop(self) -> None:
        """Free everything on the card, and the staging buffers. It can be opened again."""
        self.close()
        self._leave(list(self._kept))
        self._staging.release()
        self._lane.give_back()

    def _hook(self, place: Place, module: nn.Module) -> tuple[RemovableHandle, RemovableHandle]:
        def before(_module: nn.Module, _inputs: object) -> None:
            self._begin_turn(place)

        def after(_module: nn.Module, _inputs: object, _outputs: object) -> None:
            self._end_turn()
            self._advance()

        return module.register_forward_pre_hook(before), module.register_forward_hook(after)

    def _begin_turn(self, place: Place) -> None:
        # If the last unit failed, no one has said that its turn was over.
        self._end_turn()
        slot = self._at_work = self._kept.get(place) or self._slot_with(place)
        self._fill(slot, place)
        slot.show(self.units[place])
        self._advance()

    def _end_turn(self) -> None:
        slot, self._at_work = self._at_work, None
        if slot is not None:
            in_ring = slot in self._ring
            slot.end_turn(is_filled_soon=in_ring)
            if in_ring:
                self._free.append(slot)

    def _advance(self) -> None:
        """Start the copies that have somewhere to go, in the order of the itinerary."""
        for _ in range(self._lookahead):
            place = self._itinerary.next()
            if place is None:
                return
            slot = self._kept.get(place)
            if slot is None:
                slot = self._slot_for(place)
                if slot is None:
                    return
                self._free.remove(slot)
                self._ahead.append(slot)
            self._fill(slot, place)
            self._itinerary.skip()

    def _fill(self, slot: Slot, place: Place) -> None:
        self._prepare(place)
        slot.fill(place, self.units[place], self._staging)

    def _slot_for(self, place: Place) -> Slot | None:
        """The free slot that holds the unit, or the one free longest. None if it is better to wait for one."""
        layout = self.units[place].layout
        for slot in self._free:
            if slot.held is layout:
                return slot
        if not self._free or any(slot.held is layout for slot in self._ring):
            # A slot that holds the unit will be free: then it need not be copied.
            return None
        return self._free[0]

    def _slot_with(self, place: Place) -> Slot:
        """The slot for the unit whose turn it is, no longer free or ahead. What was expected before it did not come."""
        places = [slot.place for slot in self._ahead]
        if place in places:
            self._give_up(places.index(place))
            return self._ahead.popleft()
        if self._itinerary.skip_past(place, self._lookahead):
            self._give_up(len(places))
        elif not self._free and self._ahead:
            # Not in the itinerary, which goes on afterwards: the copy needed last gives way.
            last = self._ahead.pop()
            self._itinerary.put_back(last.place)
            last.cancel()
            self._free.append(last)
        slot = self._slot_for(place)
        if slot is None:
            raise RuntimeError(f"unit {place} does not stay on the card, and there is no slot for it")
        self._free.remove(slot)
        return slot

    def _give_up(self, count: int) -> None:
        """The first copies made ahead are not used after all. What has arrived stays until the slot is needed."""
        for _ in range(count):
            slot = self._ahead.popleft()
            slot.cancel()
            self._free.append(slot)

    def _leave(self, places: Iterable[Place]) -> None:
        for place in places:
            self.units[place].go_home()
            self._kept.pop(place).release()

    @property
    def _lookahead(self) -> int:
        """How far the itinerary is read in one go: it may be long, and it may have no end."""
        return 2 * len(self.units)


class _Itinerary:
    """Places to come, read from an iterable only as far as needed."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._unread = iter(places)
        self._read: deque[Place] = deque()

    def next(self) -> Place | None:
        """The next place, which stays the next."""
        if not self._read:
            self._read.extend(place for place in (next(self._unread, None),) if place is not None)
        return self._read[0] if self._read else None

    def skip(self) -> None:
        self._read.popleft()

    def put_back(self, place: Place) -> None:
        self._read.appendleft(place)

    def skip_past(self, place: Place, lookahead: int) -> bool:
        """Go on behind the next visit of `place`, if there is one among the next `lookahead`."""
        while len(self._read) < lookahead and (unread := next(self._unread, None)) is not None:
            self._read.append(unread)
        if place not in self._read:
            return False
        while self._read.popleft() != place:
            pass
        return True


def _refuse_shared_tensors(units: Iterable[Unit]) -> None:
    """A tensor of two units would be pointed at the slot of one while the other runs."""
    owner: dict[int, Unit] = {}
    for unit in units:
        for tensor in unit.tensors:
            if owner.setdefault(id(tensor), unit) is not unit:
                raise ValueError("two units share a tensor")
