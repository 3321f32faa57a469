"""LoRAs by name, in the folder of a model, of all models and of other programs: found anew each time, read once.

A name is a file's path below its folder, without its ending. Must not know: requests, or what a LoRA does.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from darkroom.catalog import ModelEntry
from darkroom.errors import LoraUnusable
from darkroom.files import TEMPORARY_PREFIX, has_sayable_name
from darkroom.loras.about import About, read_about
from darkroom.loras.family import family_of_model
from darkroom.request import LoraUse

ENDING = ".safetensors"
OF_ALL_MODELS = "loras"
MOST_FILES = 5000
DEEPEST = 8

# A file as it was when it was read: its path, time and size.
Seen: TypeAlias = tuple[Path, int, int]


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """One that a request can name. `problem` says why the model it was asked for cannot use it."""

    name: str
    path: Path
    about: About
    problem: LoraUnusable | None

    @property
    def title(self) -> str:
        return self.about.title or self.name.rpartition("/")[2]


def lora_folders(models: Path, entry: ModelEntry) -> tuple[Path, ...]:
    """Where a model's LoRAs lie: below the folder `models`, then elsewhere. Of a name in several, the first counts."""
    own = models / entry.files.transformer.parent / OF_ALL_MODELS
    return own, models / OF_ALL_MODELS, *(Path(folder) for folder in entry.more_loras)


def find_file(folders: Sequence[Path], name: str) -> Path | None:
    """The file of exactly this name, which was checked by a request."""
    return next((path for folder in folders if (path := folder / f"{name}{ENDING}").is_file()), None)


class LoraFolders:
    """For several threads. What a file says is kept until the file is another one."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self._kept: dict[Seen, About] = {}
        self._lock = threading.Lock()

    def folders_of(self, entries: Iterable[ModelEntry]) -> tuple[Path, ...]:
        return tuple(folder for entry in entries for folder in lora_folders(self.models, entry))

    def files(self, entry: ModelEntry) -> tuple[LoraFile, ...]:
        """All of them by name, those that can be used first."""
        found: dict[str, Path] = {}
        for folder in lora_folders(self.models, entry):
            for path in _walk(folder):
                found.setdefault(path.relative_to(folder).as_posix().removesuffix(ENDING), path)
        files = [self._file(name, path, entry) for name, path in found.items() if is_lora_name(name)]
        return tuple(sorted(files, key=lambda file: (file.problem is not None, file.title.lower(), file.name)))

    def all_files(self, entries: Iterable[ModelEntry]) -> tuple[LoraFile, ...]:
        """Of all these models, each file once; by their folders, then by name. `problem` is one with any model."""
        found: dict[Path, str] = {}
        for folder in dict.fromkeys(self.folders_of(entries)):
            for path in _walk(folder):
                found.setdefault(path, path.relative_to(folder).as_posix().removesuffix(ENDING))
        about = {path: self._about(path) for path in found}
        return tuple(
            LoraFile(name=name, path=path, about=about[path], problem=about[path].problem)
            for path, name in found.items()
        )

    def find(self, name: str, entry: ModelEntry) -> LoraFile | None:
        """Exactly that one."""
        path = find_file(lora_folders(self.models, entry), name) if is_lora_name(name) else None
        return self._file(name, path, entry) if path is not None else None

    def meant(self, name: str, entry: ModelEntry) -> LoraFile | None:
        """As a person writes it: without its folders, in other capitals, or by the name it was trained under."""
        name = name.strip().replace("\\", "/").removesuffix(ENDING)
        if (found := self.find(name, entry)) is not None:
            return found
        files, wanted = self.files(entry), name.lower()
        for way in _WAYS:
            if alike := [file for file in files if way(file) in (name, wanted)]:
                return alike[0]
        return None

    def _file(self, name: str, path: Path, entry: ModelEntry) -> LoraFile:
        about = self._about(path)
        problem = about.problem
        if problem is None and about.family != family_of_model(entry.architecture):
            problem = LoraUnusable("other_family", path.name, about.family)
        return LoraFile(name=name, path=path, about=about, problem=problem)

    def _about(self, path: Path) -> About:
        try:
            stat = path.stat()
        except OSError:
            return read_about(path)
        seen = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            about = self._kept.get(seen)
        if about is None:
            about = read_about(path)
            with self._lock:
                for old in [each for each in self._kept if each[0] == path]:
                    del self._kept[old]
                self._kept[seen] = about
        return about


# The nearest first.
_WAYS: tuple[Callable[[LoraFile], str], ...] = (
    lambda file: file.name.rpartition("/")[2],
    lambda file: file.name.lower(),
    lambda file: file.name.lower().rpartition("/")[2],
    lambda file: file.title.lower(),
)


def is_lora_name(name: str) -> bool:
    """Whether a request can name it."""
    try:
        LoraUse(name=name)
    except ValidationError:
        return False
    return True


def _walk(folder: Path) -> Iterator[Path]:
    """Files below it, by links too, but no folder twice. What cannot be read, or named, is not there."""
    seen: set[str] = set()
    count = 0
    for here, folders, files in os.walk(folder, followlinks=True):
        depth = len(Path(here).relative_to(folder).parts)
        real = os.path.realpath(here)
        if real in seen or depth > DEEPEST:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(ENDING) and not name.startswith((".", TEMPORARY_PREFIX)):
                count += 1
                if count > MOST_FILES:
                    return
                if has_sayable_name(path := Path(here, name)):
                    yield path
