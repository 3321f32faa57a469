"""The terminal: results on the one stream, progress and troubles on the other. Must not know: what they are about."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO


def open_what_is_closed() -> None:
    """A database that got the number of a closed stream would be written what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest number that is free is taken, which is the closed one's.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (as long as the process)


class Terminal:
    """With `as_json`, the first stream holds one JSON value and nothing else. Progress is for eyes: never in a file.

    `unwritten` says why the result could not be written, on a full disk say. A reader who has seen enough may leave.
    """

    def __init__(self, *, as_json: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._as_json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._progress = self._shown = ""
        self.unwritten = ""

    def progress(self, text: str) -> None:
        if text == self._progress or not self._err.isatty():
            return
        shown = text[: shutil.get_terminal_size().columns - 1]
        # Spaces over what is longer: not every terminal knows how to clear a line.
        self._write(self._err, f"\r{shown:<{len(self._shown)}}")
        self._progress, self._shown = text, shown

    def trouble(self, text: str) -> None:
        self.clear()
        self._write(self._err, f"{text}\n")

    def line(self, text: str) -> None:
        """A line of the result for people."""
        self.clear()
        if not self._as_json:
            self._write(self._out, f"{text}\n")

    def result(self, value: Mapping[str, Any]) -> None:
        """The whole result for programs."""
        self.clear()
        if self._as_json:
            self._write(self._out, json.dumps(value, indent=1) + "\n")

    def agrees(self, question: str) -> bool | None:
        """None where nobody can be asked."""
        if self._as_json or not (self._err.isatty() and sys.stdin.isatty()):
            return None
        self.clear()
        self._write(self._err, f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def clear(self) -> None:
        if self._shown:
            self._write(self._err, f"\r{'':<{len(self._shown)}}\r")
            self._progress = self._shown = ""

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        # A terminal that lacks a sign shows another one in its place.
        try:
            stream.write(text.encode(encoding, "replace").decode(encoding))
            stream.flush()
        except OSError as error:
            # What is left of it would be tried again when the process ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            # Windows says of a reader who has left that the value is invalid.
            if error.errno not in (errno.EPIPE, errno.EINVAL) and stream is self._out:
                self.unwritten = f"The result could not be written: {error.strerror}."
