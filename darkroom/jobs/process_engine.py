"""A real engine: a spawned process at the other end of one duplex pipe.

Must not know: what the process does (it is given a function to run), or torch.
"""

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from darkroom.config import Settings
from darkroom.errors import EngineLost
from darkroom.footprint import GB
from darkroom.jobs.messages import Command, EngineOptions, Event, Quit
from darkroom.wishes import Wishes

SECONDS_TO_QUIT = 2.0

Serve = Callable[[Any, EngineOptions], None]


def options_of(settings: Settings) -> EngineOptions:
    """What the settings say to an engine."""
    return EngineOptions(
        models=settings.folders.models,
        device=settings.engine.device,
        threads=settings.engine.threads,
        expandable_segments=settings.memory_management.expandable_segments,
        log_level=settings.logging.level,
        wishes=wishes_of(settings),
        convert=settings.conversion.enabled,
        cache=settings.folders.cache,
        compile=settings.engine.compile,
        checkpoint_seconds=settings.engine.checkpoint_seconds,
    )


def wishes_of(settings: Settings) -> Wishes:
    """What the settings say to the planner."""
    memory = settings.memory
    return Wishes(
        profile=memory.profile,
        offload=settings.offload.enabled,
        keep_in_vram=settings.keep_in_vram,
        vram_limit=int(memory.vram_limit_gb * GB),
        ram_limit=int(memory.ram_limit_gb * GB),
        vae_tile=memory.vae_tile,
    )


class ProcessEngine:
    """Follows `Engine`. The process starts here and ends with `close`, or with this process, whichever comes first."""

    def __init__(self, serve: Serve, options: EngineOptions) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        self._connection: Connection[Command, Event] = ours
        self._process = context.Process(target=serve, args=(theirs, options), name="darkroom-engine", daemon=True)
        self._process.start()
        # Only the engine may hold its end: when it dies, our end must read "closed".
        theirs.close()

    @property
    def process_id(self) -> int | None:
        return self._process.pid

    def send(self, command: Command) -> None:
        try:
            self._connection.send(command)
        except OSError as error:
            raise EngineLost(self._cause()) from error

    def receive(self, timeout: float) -> Event | None:
        try:
            if self._connection.poll(timeout):
                return self._connection.recv()
        except (EOFError, OSError) as error:
            raise EngineLost(self._cause()) from error
        return None

    def close(self) -> None:
        if self._process.is_alive():
            with contextlib.suppress(OSError):  # it is on its way out already
                self._connection.send(Quit())
            self._process.join(SECONDS_TO_QUIT)
        self.kill()

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()

    def _cause(self) -> str:
        self._process.join(SECONDS_TO_QUIT)
        code = self._process.exitcode
        if code is None:
            return "no answer"
        return f"signal {-code}" if code < 0 else f"exit code {code}"
