"""Makings: graphs and kernels in memory, on the disk, or being made beside the pictures.

Must not know: what they are for, or when they are needed.
"""

import logging
import pickle
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from darkroom.engine.compile_job import CompileJob, Making
from darkroom.engine.compiled_block import FAULTS, first_line

log = logging.getLogger("darkroom.engine")

# In memory: graphs of eight sizes of pictures, two kinds of blocks.
MOST_READY = 16
# Sizes of pictures for which one engine has graphs made. Whoever uses more gets the rest uncompiled.
MOST_COMPILED = 24
SECONDS_TO_LOOK = 0.2
# Why something is not ready while it may be later.
BEING_COMPILED, NO_ROOM = "it is being compiled", "the card has no room for compiling beside the picture"
PASSING = (BEING_COMPILED, NO_ROOM)
# What a file of another version, or half of one, raises when it is read.
UNREADABLE = (*FAULTS, OSError, ImportError, LookupError, AttributeError, EOFError, pickle.UnpicklingError)


class Makings:
    """Of one engine. Not for several threads."""

    def __init__(self) -> None:
        self._ready: OrderedDict[Path, Any] = OrderedDict()
        self._faults: dict[Path, str] = {}
        self._job: CompileJob | None = None
        self._made = 0
        # How long they were made for, in all.
        self.seconds = 0.0

    def have_ready(
        self,
        orders: Sequence[Making],
        *,
        has_room: Callable[[], bool],
        waiting: Callable[[], None] | None,
        apart: bool,
    ) -> str | None:
        """Read what is made, have made what is not. Why not all is there, if so.

        With `waiting`, which is called now and then and may raise, it takes the time that it takes. `apart`: in a
        process of its own, where `has_room` says that there is room for it.
        """
        while True:
            if (why := self._look_at_job(waiting)) is not None:
                return why
            if faults := [self._faults[order.path] for order in orders if order.path in self._faults]:
                return faults[0]
            missing = [order for order in orders if not self._is_ready(order)]
            if not missing:
                return None
            if why := self._start(missing, has_room, apart=apart):
                return why

    def __getitem__(self, path: Path) -> Any:
        """What `have_ready` has made sure of."""
        return self._ready[path]

    def give_up(self, path: Path, why: str) -> None:
        """It is of no use."""
        self._faults[path] = why
        self._ready.pop(path, None)

    @property
    def compiling(self) -> bool:
        return self._job is not None and self._job.running

    def stop(self) -> None:
        """Nothing is being made any more."""
        if self._job is not None:
            self._job.end()
            self._job = None

    def _look_at_job(self, waiting: Callable[[], None] | None) -> str | None:
        """Take note of what has ended. Why this picture has to do without what has not."""
        if self._job is None:
            return None
        while self._job.running:
            if waiting is None:
                return BEING_COMPILED
            waiting()
            time.sleep(SECONDS_TO_LOOK)
        job, self._job = self._job, None
        self.seconds += job.seconds
        if fault := job.fault():
            log.warning("compiling has failed: %s", fault)
            self._faults |= {path: fault for path in job.paths if not path.exists()}
        else:
            log.info("compiled in %.0f s", job.seconds)
        return None

    def _start(self, orders: Sequence[Making], has_room: Callable[[], bool], *, apart: bool) -> str | None:
        if self._made >= MOST_COMPILED:
            return "too many sizes of pictures"
        if not has_room():
            return NO_ROOM
        self._made += 1
        log.info("compiling the transformer's blocks")
        try:
            orders[0].path.parent.mkdir(parents=True, exist_ok=True)
            if apart:
                self._job = CompileJob(orders)
            else:
                for order in orders:
                    order.make()
        except (*FAULTS, OSError) as error:
            why = first_line(str(error)) or type(error).__name__
            self._faults |= {order.path: why for order in orders}
        return None

    def _is_ready(self, order: Making) -> bool:
        """In memory, or on the disk and now in memory."""
        path = order.path
        if path in self._ready:
            self._ready.move_to_end(path)
            return True
        if not path.exists():
            return False
        try:
            self._ready[path] = order.load()
        except UNREADABLE as error:
            log.warning("%s cannot be read and is made anew: %s", path.name, first_line(str(error)))
            path.unlink(missing_ok=True)
            return False
        while len(self._ready) > MOST_READY:
            self._ready.popitem(last=False)
        return True
