"""Replays: what a block sets a card to do, recorded in a picture's first passes and then done over at one call.

Setting hundreds of kernels to work takes the host longer than a fast card needs for a small picture. Must not know:
what is recorded.
"""

import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from typing import Any, Protocol

import torch

log = logging.getLogger("darkroom.engine")


class Replays(Protocol):
    """Of one picture. `work` makes nothing that is needed after it, and writes only where it always does."""

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do it. With the same `key` it is always the same work, in the same places. None: it is not to be kept."""
        ...

    def close(self) -> None:
        """Nothing of it is needed any more. Safe to call again."""
        ...


class NoReplays:
    """For a device that has nothing of the kind."""

    def run(self, key: Hashable, work: Callable[[], None]) -> None:  # noqa: ARG002
        work()

    def close(self) -> None: ...


class CardReplays:
    """CUDA graphs, all in one pool of memory: they run one after the other, and leave nothing in it.

    Nothing is recorded where less than `room` bytes are left of the `promised` ones.
    """

    def __init__(self, device: torch.device, *, promised: int, room: int) -> None:
        self._device, self._promised, self._room = device, promised, room
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None
        self._gave_up = False

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        graph = self._graphs.get(key)
        if graph is None and key is not None and not self._gave_up:
            graph = self._recorded(key, work)
        if graph is None:
            work()
        else:
            graph.replay()

    def close(self) -> None:
        if self._graphs or self._pool is not None:
            torch.cuda.synchronize(self._device)
            self._graphs.clear()
            self._pool = None
            torch.cuda.empty_cache()

    def _recorded(self, key: Hashable, work: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
        if self._pool is None:
            if self._promised - torch.cuda.memory_allocated(self._device) < self._room:
                self._gave_up = True
                return None
            # What earlier passes left cached would lie beside the pool.
            torch.cuda.empty_cache()
            cuda: Any = torch.cuda
            self._pool = cuda.graph_pool_handle()
        graph, stream = torch.cuda.CUDAGraph(), _stream_on(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        try:
            _forget_workspaces()
            with torch.cuda.stream(stream):
                # Other threads copy weights meanwhile, which is no business of the recording.
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                try:
                    work()
                finally:
                    graph.capture_end()
                    _forget_workspaces()
        except RuntimeError as error:
            # Nothing has been done yet, and it can be done without.
            log.warning("blocks are not recorded: %s", next(iter(str(error).splitlines()), ""))
            self._gave_up = True
            with suppress(RuntimeError):
                self.close()
            return None
        self._graphs[key] = graph
        return graph


def replays_on(device: torch.device, *, promised: int, room: int) -> Replays:
    return CardReplays(device, promised=promised, room=room) if device.type == "cuda" else NoReplays()


@cache
def _stream_on(device: torch.device) -> Any:
    """One for all pictures: torch has 32, and the next ones are those that copy weights."""
    cuda: Any = torch.cuda
    return cuda.Stream(device)


def _forget_workspaces() -> None:
    """torch keeps one for each stream that has multiplied, and would keep the pool's memory with it."""
    torch._C._cuda_clearCublasWorkspaces()
