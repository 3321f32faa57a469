"""The terminal: results on the one stream, progress and troubles on the other. Must not know: what they are about."""

import json
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

CLEARED = "\r\x1b[K"


class Terminal:
    """With `as_json`, the first stream holds one JSON value and nothing else. Progress is for eyes: never in a file."""

    def __init__(self, *, as_json: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._as_json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._progress = ""

    def progress(self, text: str) -> None:
        if text == self._progress or not self._err.isatty():
            return
        width = shutil.get_terminal_size().columns - 1
        self._write(self._err, f"{CLEARED}{text[:width]}")
        self._progress = text

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
        if self._progress:
            self._write(self._err, CLEARED)
            self._progress = ""

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        # A terminal that lacks a sign shows another one in its place.
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
