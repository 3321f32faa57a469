"""Checkpoints of pictures in the making, each a file below the history folder that goes when its job ends.

Must not know: what is in them, or jobs beyond their numbers.
"""

import re
from collections.abc import Collection
from pathlib import Path

from darkroom.files import temporaries, write_whole

CHECKPOINTS = "checkpoints"
NAME = re.compile(r"(\d{6,})\.checkpoint")


class Checkpoints:
    """At most one for each job."""

    def __init__(self, history: Path) -> None:
        self._folder = history / CHECKPOINTS

    def keep(self, job: int, content: bytes) -> str:
        """In place of an earlier one; the file's name. Raises OSError."""
        name = _name(job)
        write_whole(self._folder / name, content)
        return name

    def of(self, job: int) -> bytes | None:
        """Raises OSError when there is one that cannot be read."""
        try:
            return (self._folder / _name(job)).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, job: int) -> None:
        (self._folder / _name(job)).unlink(missing_ok=True)

    def sweep(self, unfinished: Collection[int]) -> None:
        """Remove those of all other jobs, and half-written ones. Only while none is being kept."""
        if not self._folder.is_dir():
            return
        for path in list(self._folder.iterdir()):
            match = NAME.fullmatch(path.name)
            if match and int(match[1]) not in unfinished:
                path.unlink(missing_ok=True)
        for path in temporaries(self._folder):
            path.unlink(missing_ok=True)


def _name(job: int) -> str:
    return f"{job:06d}.checkpoint"
