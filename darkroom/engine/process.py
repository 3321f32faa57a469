"""The engine process: a loop over the server's commands. Reading this file imports no torch; starting does.

Must not know: rows, pages, or files of history.
"""

import faulthandler
import getpass
import json
import logging
import os
import queue
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.errors import DarkroomError, DoesNotFit, LoraUnusable, ModelUnusable
from darkroom.jobs.messages import (
    Command,
    Done,
    EngineOptions,
    Entered,
    Event,
    Failed,
    FailureKind,
    Loading,
    Memory,
    Quit,
    Ready,
    Run,
    Stage,
    Step,
    Stop,
    Stopped,
    Unload,
)
from darkroom.logs import start_logging

if TYPE_CHECKING:
    from darkroom.engine.flux import MadePicture
    from darkroom.engine.model import LoadedModel

log = logging.getLogger("darkroom.engine")

# Before torch and its companions are imported: nothing is asked of any hub, and idle threads sleep instead of spinning
# (seen: beside heavy programs, spinning made a picture many times slower).
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "DIFFSYNTH_SKIP_DOWNLOAD": "True",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Memory on the card does not fragment, where the driver can do it.
EXPANDABLE_SEGMENTS = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
NICENESS = 5


def serve(connection: "Connection[Event, Command]", options: EngineOptions) -> None:
    """Answer commands until Quit. Ends at once, in the middle of anything, when the server is gone."""
    _prepare_process(options)
    inbox = Inbox(connection)
    from darkroom.engine.model import LoadedModel

    loaded = LoadedModel(options)
    connection.send(Ready(device=loaded.device_name, torch_version=loaded.torch_version))
    while not isinstance(command := inbox.next(), Quit):
        if isinstance(command, Run):
            connection.send(_answer(command, loaded, inbox, connection.send))
            connection.send(Memory(resident=loaded.resident_bytes(), card=loaded.card_bytes()))
        elif isinstance(command, Unload):
            loaded.unload()
            connection.send(Memory(resident=loaded.resident_bytes(), card=loaded.card_bytes()))


def _answer(run: Run, loaded: "LoadedModel", inbox: "Inbox", send: Callable[[Event], None]) -> Event:
    """Make the picture, or say in one message why not. What no one foresaw ends the process, with a traceback."""
    from darkroom.engine.model import OUT_OF_MEMORY

    watcher = _Teller(run.job, inbox, send)
    try:
        picture: MadePicture = loaded.make_picture(run.model, run.request, watcher)
    except StopAsked:
        return Stopped(job=run.job)
    except OUT_OF_MEMORY as error:
        # What was kept from earlier pictures may be what is missing now.
        loaded.unload()
        return _failed(run, "out_of_memory", error)
    except ModelUnusable as error:
        return Failed(job=run.job, kind="model_unusable", detail=f"{error.file}: {error.reason}")
    except DoesNotFit as error:
        return _refused(run, "does_not_fit", error)
    except LoraUnusable as error:
        return _refused(run, "lora_unusable", error)
    except (RuntimeError, ValueError, OSError) as error:
        return _failed(run, "engine_fault", error)
    finally:
        loaded.tidy()
    return Done(job=run.job, width=picture.width, height=picture.height, pixels=picture.pixels, facts=picture.facts)


def _refused(run: Run, kind: FailureKind, error: DarkroomError) -> Failed:
    """For the page to say in the reader's language."""
    log.warning("job %d: %s", run.job, " ".join((str(error), *getattr(error, "__notes__", ()))))
    return Failed(job=run.job, kind=kind, detail=json.dumps({"code": error.code, **error.details}))


def _failed(run: Run, kind: FailureKind, error: BaseException) -> Failed:
    log.error("job %d failed", run.job, exc_info=error)
    lines = str(error).splitlines() or [type(error).__name__]
    return Failed(job=run.job, kind=kind, detail=lines[0])


class Inbox:
    """Commands from the server, read as they come so that a Stop is seen in the middle of a picture."""

    def __init__(self, connection: "Connection[Event, Command]") -> None:
        self._connection = connection
        self._commands: queue.Queue[Command] = queue.Queue()
        self._stopped: set[int] = set()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> Command:
        return self._commands.get()

    def stop_asked(self, job: int) -> bool:
        return job in self._stopped

    def _read(self) -> None:
        while True:
            try:
                command = self._connection.recv()
            except (EOFError, OSError):
                # The server is gone. This process has written nothing that could be left half done.
                os._exit(0)
            if isinstance(command, Stop):
                self._stopped.add(command.job)
            else:
                self._commands.put(command)


class _Teller(Watcher):
    """Turns what happens to one job into messages, and a Stop into StopAsked."""

    def __init__(self, job: int, inbox: Inbox, send: Callable[[Event], None]) -> None:
        self._job = job
        self._inbox = inbox
        self._send = send
        self._percent = -1
        self._told: tuple[Stage, int] | None = None

    def loading(self, part: str, fraction: float) -> None:
        self._stop_if_asked()
        if int(fraction * 100) != self._percent:
            self._percent = int(fraction * 100)
            self._send(Loading(job=self._job, part=part, fraction=fraction))

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:
        self._stop_if_asked()
        # In tenths: a prompt is read in a fraction of a second on most cards.
        if (stage, int(fraction * 10)) != self._told:
            self._told = (stage, int(fraction * 10))
            self._send(Entered(job=self._job, stage=stage, fraction=fraction))

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        self._send(Step(job=self._job, number=number, of=of, preview_jpeg=preview_jpeg()))
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self._inbox.stop_asked(self._job):
            raise StopAsked


def environment_of(options: EngineOptions) -> dict[str, str]:
    """The variables to set, where the person who started Darkroom has not set them."""
    return (
        ENVIRONMENT
        | (EXPANDABLE_SEGMENTS if options.expandable_segments else {})
        | (compiler_folders(options.cache / "compiled") if options.cache and options.compile != "off" else {})
    )


def compiler_folders(folder: Path) -> dict[str, str]:
    """Where torch keeps what it compiles, so that the next start finds it."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
    }


def _prepare_process(options: EngineOptions) -> None:
    faulthandler.enable()
    start_logging("engine", options.log_level)
    # Ctrl-C reaches the whole terminal; the server decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name, value in environment_of(options).items():
        os.environ.setdefault(name, value)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number without a name; torch asks for the name when it is imported.
        os.environ["LOGNAME"] = str(os.getuid())
    if hasattr(os, "nice"):
        # The page must answer while every core computes.
        os.nice(NICENESS)
