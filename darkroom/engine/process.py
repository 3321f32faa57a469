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
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.engine.teller import Teller
from darkroom.engine.watcher import StopAsked
from darkroom.errors import DarkroomError, DoesNotFit, LoraUnusable, ModelUnusable
from darkroom.jobs.messages import (
    Command,
    Done,
    EngineOptions,
    Event,
    Failed,
    FailureKind,
    Finish,
    Memory,
    Pause,
    Quit,
    Ready,
    Run,
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
SECONDS_BETWEEN_MEMORY = 1.0
# What the process ends with, for whoever looks.
CARD_HAS_FAILED = 75
# How torch says that the machine, not the card, has no room left.
NO_MORE_RAM = "DefaultCPUAllocator: can't allocate memory"


def serve(connection: "Connection[Event, Command]", options: EngineOptions) -> None:
    """Answer commands until Quit. Ends at once, in the middle of anything, when the server is gone."""
    _prepare_process(options)
    inbox, outbox = Inbox(connection), Outbox(connection)
    loaded = _imported()(options)
    outbox.send(Ready(device=loaded.device_name, torch_version=loaded.torch_version))
    outbox.tell_every(SECONDS_BETWEEN_MEMORY, loaded.memory)
    while not isinstance(command := inbox.next(), Quit):
        if isinstance(command, Run):
            teller = Teller(command.job, inbox, outbox.send, options.checkpoint_seconds)
            answer = _answer(command, loaded, teller, outbox)
            loaded.tidy()
            outbox.send(answer)
            outbox.send(loaded.memory())
        elif isinstance(command, Unload):
            loaded.unload()
            outbox.send(loaded.memory())


def _imported() -> "type[LoadedModel]":
    """DiffSynth has torch compile, for other models than FLUX.1, when it is imported: that brings in torch's compiler,
    more than a second of each start.
    """
    import torch

    def as_it_is(function: Any = None, **_wishes: Any) -> Any:
        return as_it_is if function is None else function

    compiles = torch.compile
    torch.compile = as_it_is  # type: ignore[assignment]
    try:
        from darkroom.engine.model import LoadedModel
    finally:
        torch.compile = compiles
    return LoadedModel


def _answer(run: Run, loaded: "LoadedModel", teller: Teller, outbox: "Outbox") -> Event:
    """Make the picture, or say in one message why not. What no one foresaw ends the process, with a traceback.

    When the card has failed, the process ends here, after a word.
    """
    from darkroom.engine.devices import has_failed
    from darkroom.engine.model import CARD_FAULT, OUT_OF_MEMORY, OUT_OF_RAM

    try:
        picture: MadePicture = loaded.make_picture(
            run.model, run.request, teller, rung=run.rung, checkpoint=run.checkpoint
        )
    except StopAsked:
        return Stopped(job=run.job)
    except OUT_OF_MEMORY as error:
        # What was kept from earlier pictures may be what is missing now.
        loaded.unload()
        return _failed(run, "out_of_memory", error)
    except OUT_OF_RAM as error:
        loaded.unload()
        return _failed(run, "out_of_ram", error)
    except CARD_FAULT as error:
        if has_failed(error):
            # While the error still holds what is on the card: see `ended_by`.
            outbox.send(_failed(run, "card_fault", error))
            os._exit(CARD_HAS_FAILED)
        loaded.unload()
        return _failed(run, "out_of_memory", error)
    except ModelUnusable as error:
        return _refused(run, "model_unusable", error)
    except DoesNotFit as error:
        return _refused(run, "does_not_fit", error)
    except LoraUnusable as error:
        return _refused(run, "lora_unusable", error)
    except (RuntimeError, ValueError, OSError) as error:
        if NO_MORE_RAM not in str(error):
            return _failed(run, "engine_fault", error)
        loaded.unload()
        return _failed(run, "out_of_ram", error)
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
        self._wishes: set[Stop | Pause | Finish] = set()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> Command:
        return self._commands.get()

    def holds(self, wish: "Stop | Pause | Finish") -> bool:
        """Whether this was asked for, before the job or in the middle of it."""
        return wish in self._wishes

    def _read(self) -> None:
        while True:
            try:
                command = self._connection.recv()
            except (EOFError, OSError):
                # The server is gone. This process has written nothing that could be left half done.
                os._exit(0)
            if isinstance(command, Stop | Pause | Finish):
                self._wishes.add(command)
                continue
            if isinstance(command, Run):
                # What was asked of an earlier attempt does not count for this one.
                self._wishes -= {Stop(job=command.job), Pause(job=command.job), Finish(job=command.job)}
            self._commands.put(command)


class Outbox:
    """Events to the server, from several threads."""

    def __init__(self, connection: "Connection[Event, Command]") -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        with self._lock:
            self._connection.send(event)

    def tell_every(self, seconds: float, look: Callable[[], Memory]) -> None:
        """Until the process ends. What it tells is what is left to read when the process ends without a word."""

        def tell() -> None:
            while True:
                time.sleep(seconds)
                try:
                    self.send(look())
                except OSError:  # the server is gone, and the inbox sees to that
                    return

        threading.Thread(target=tell, name="memory", daemon=True).start()


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
