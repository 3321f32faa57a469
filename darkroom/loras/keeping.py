"""A LoRA that arrives in pieces becomes a file in the folder of all models, under its name once it is whole and right;
and one that is not wanted any more goes. Nothing is written over: another file of the same name gets a number.

Must not know: how the pieces come, or who still needs a file.
"""

import filecmp
import os
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from darkroom.catalog import DEMO
from darkroom.errors import LoraUnusable
from darkroom.files import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, temporaries
from darkroom.loras.about import read_about
from darkroom.loras.folders import ENDING, OF_ALL_MODELS, find_file

LARGEST_FILE = 4 << 30
LARGEST_WORDS = "4 GB"
# What stays free on the disk, for pictures.
SPARE = 256 << 20
LONGEST_NAME = 100
FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')
# Of Windows, whatever ending they have.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
SHIPS = DEMO.files.transformer.parent
FORGOTTEN_AFTER = 24 * 3600


def clean_name(given: str) -> str:
    """Of a file that someone sends, without its ending. Raises LoraUnusable where the ending is another."""
    last = unicodedata.normalize("NFC", re.split(r"[\\/]", given)[-1])
    if not last.lower().endswith(ENDING):
        raise LoraUnusable("ending", _shown(last))
    name = FORBIDDEN.sub("_", last[: -len(ENDING)])
    name = "".join(sign for sign in name if sign.isprintable())[:LONGEST_NAME].strip(" .") or "lora"
    return f"_{name}" if RESERVED.fullmatch(name) else name


class Keeper:
    """Takes files into the folder of all models. `others` are folders where one of that name may lie already."""

    def __init__(self, models: Path, others: Callable[[], Iterable[Path]] = tuple) -> None:
        self.folder = models / OF_ALL_MODELS
        self._others = others
        self._lock = threading.Lock()

    def expect(self, given: str, size: int | None) -> "Arriving":
        """Raises LoraUnusable where it cannot be taken, before any of it has come. `size` may not be known."""
        name = clean_name(given)
        file = f"{name}{ENDING}"
        if size is not None and size > LARGEST_FILE:
            raise LoraUnusable("too_large", file, LARGEST_WORDS)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._forget_old()
            if shutil.disk_usage(self.folder).free < (size or 0) + SPARE:
                raise LoraUnusable("no_room", file)
            path = self.folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
            return Arriving(self, name, path, path.open("xb"))
        except OSError as error:
            raise LoraUnusable("not_kept", file, self.folder.name) from error

    def can_remove(self, path: Path) -> bool:
        """Only what a person has put there: not what ships, nor another program's."""
        models = self.folder.parent
        return (
            path.is_relative_to(models)
            and not path.is_relative_to(models / SHIPS)
            and models.resolve() in (path.parent / "x").resolve().parents
        )

    def remove(self, path: Path) -> None:
        """For good. Raises LoraUnusable."""
        if not self.can_remove(path):
            raise LoraUnusable("only_read", path.name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise LoraUnusable("not_kept", path.name, path.parent.name) from error

    def settle(self, name: str, arrived: Path) -> str:
        """Give it its name; which one that is. One that is there already is not kept twice."""
        folders = tuple(dict.fromkeys((*self._others(), self.folder)))
        with self._lock:
            for candidate in (name, *(f"{name}-{number}" for number in range(2, 1000))):
                there = find_file(folders, candidate)
                if there is None:
                    arrived.replace(self.folder / f"{candidate}{ENDING}")
                    return candidate
                if filecmp.cmp(there, arrived, shallow=False):
                    return candidate
        raise LoraUnusable("not_kept", f"{name}{ENDING}", self.folder.name)

    def _forget_old(self) -> None:
        """What was cut off by a crash."""
        for path in temporaries(self.folder):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER:
                    path.unlink()


class Arriving:
    """One file on its way. Leaving the `with` drops what was not finished."""

    def __init__(self, keeper: Keeper, name: str, path: Path, file: BinaryIO) -> None:
        self._keeper = keeper
        self._name = name
        self._path = path
        self._file = file
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, piece: bytes) -> None:
        """Raises LoraUnusable."""
        self._size += len(piece)
        if self._size > LARGEST_FILE:
            raise LoraUnusable("too_large", f"{self._name}{ENDING}", LARGEST_WORDS)
        try:
            self._file.write(piece)
        except OSError as error:
            raise self._not_kept() from error

    def finish(self) -> str:
        """The name it has from now on. Raises LoraUnusable where no model of ours could use it."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            problem = read_about(self._path).problem
            if problem is not None:
                raise LoraUnusable(problem.reason, f"{self._name}{ENDING}", problem.what)
            return self._keeper.settle(self._name, self._path)
        except OSError as error:
            raise self._not_kept() from error

    def _not_kept(self) -> LoraUnusable:
        return LoraUnusable("not_kept", f"{self._name}{ENDING}", self._keeper.folder.name)


def _shown(name: str) -> str:
    return "".join(sign if sign.isprintable() else "_" for sign in name)[:LONGEST_NAME] or "?"
