"""CompileJob: graphs and kernels are made in a process of its own (this file is its program), beside the pictures.

Not in a thread: the compiler is Python, and each of a picture's thousands of small operations would have to wait for
it to let go of the interpreter. Must not know: when they are needed, or what is done with them.
"""

import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

ROOT = Path(__file__).parents[2]
SECONDS_TO_COMPILE = 900.0
# torch compiles nothing in bf16, which pictures are made in, for cards before.
BF16_SINCE = (8, 0)


class Making(Protocol):
    """Something to be made, by whatever process. Once it is, there is a file of it, and it can be loaded."""

    @property
    def path(self) -> Path: ...

    def make(self) -> None: ...

    def load(self) -> Any: ...


class CompileJob:
    """A process that compiles. It ends with this one."""

    def __init__(self, orders: Sequence[Making]) -> None:
        folder = orders[0].path.parent
        self.paths = [order.path for order in orders]
        self._orders = folder / f"{uuid.uuid4().hex}.orders"
        self._log = self._orders.with_suffix(".log")
        self._orders.write_bytes(pickle.dumps([*orders]))
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._began, self._ended = time.monotonic(), 0.0
        with self._log.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "darkroom.engine.compile_job", str(self._orders)],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=words,
                env=os.environ | {"PYTHONPATH": path},
            )

    @property
    def running(self) -> bool:
        if self._process.poll() is None and time.monotonic() - self._began > SECONDS_TO_COMPILE:
            self.end()
        if self._process.poll() is None:
            return True
        self._ended = self._ended or time.monotonic()
        return False

    @property
    def seconds(self) -> float:
        return self._ended - self._began

    def fault(self) -> str:
        """Once it has ended: the last it said, or nothing where all is made."""
        lines = self._log.read_text("utf-8", errors="replace").split("\n") if self._log.exists() else []
        self._clean_up()
        if self._process.returncode == 0:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:200] if said else f"its process ended with {self._process.returncode}"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        for file in (self._orders, self._log):
            file.unlink(missing_ok=True)


def missing_on(device: torch.device) -> str:
    """What this machine lacks for compiled blocks, in words; empty if nothing."""
    if device.type != "cuda":
        return "there is no graphics card"
    if torch.cuda.get_device_capability(device) < BF16_SINCE:
        return "the card is older than compute capability 8.0"
    triton = importlib.util.find_spec("triton")
    if triton is None:
        return "triton is not installed"
    # Triton builds a small library for itself before anything else. On Windows it brings a compiler and headers along.
    if triton.origin and (Path(triton.origin).parent / "runtime" / "tcc").exists():
        return ""
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "gcc", "clang")):
        return "there is no C compiler (gcc or clang)"
    if not (Path(sysconfig.get_path("include", sysconfig.get_preferred_scheme("prefix"))) / "Python.h").exists():
        return "Python's headers are not installed (python3-dev)"
    return ""


def make_all(orders: Path) -> None:
    """Make what the file asks for, one after the other, and remove it."""
    wanted: list[Making] = pickle.loads(orders.read_bytes())
    orders.unlink()
    for order in wanted:
        order.make()


def _end_with_the_engine(orders: Path) -> None:
    """Standard input ends when the process at its other end does."""
    # Not through Python's buffer, whose lock would be held while this process ends.
    while os.read(0, 1):
        pass
    for file in (orders, orders.with_suffix(".log")):
        file.unlink(missing_ok=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_engine, args=(Path(sys.argv[1]),), daemon=True).start()
    make_all(Path(sys.argv[1]))
