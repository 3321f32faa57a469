"""Inventory: what of the catalogue's files is here, and which other models lie in the folders.

Looks at names, sizes and what was found out before; nothing is read from end to end. Must not know: hubs, or pages.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from darkroom.checkpoints import Recognised, recognise
from darkroom.checkpoints.folders import CONVERTED_SUFFIX, ENDINGS
from darkroom.downloads.folder import PART_SUFFIX, ModelsFolder
from darkroom.downloads.records import Records
from darkroom.errors import DownloadFailed, ModelUnusable, shown
from darkroom.files import TEMPORARY_PREFIX, has_sayable_name
from darkroom.weights import WeightFile

# "unchecked": it has the right size, and nobody has read it from end to end yet.
State = Literal["missing", "partial", "unchecked", "whole", "damaged"]
USABLE: tuple[State, ...] = ("unchecked", "whole")
# What a person may have dropped; a pickle is named, and never opened.
SEEN_ENDINGS = (*ENDINGS, ".gguf", ".ckpt", ".pt", ".pth")
DEEPEST, MOST_FILES = 5, 5000
SECONDS_BETWEEN_LOOKS = 3.0
# Of other kinds than models: what is in folders of these names is somebody else's business.
OTHER_KINDS = frozenset(
    {
        "loras",
        "lora",
        "embeddings",
        "controlnet",
        "upscale_models",
        "esrgan",
        "hypernetworks",
        "ipadapter",
        "vae_approx",
    }
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file of the catalogue. `path` is where it is; `elsewhere`: in a folder that is only read."""

    file: WeightFile
    state: State
    bytes: int
    path: Path | None
    elsewhere: bool = False

    @property
    def is_usable(self) -> bool:
        return self.state in USABLE


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A file that is there and is none of the catalogue's. `where` is how a person would look for it."""

    path: Path
    where: str
    bytes: int
    elsewhere: bool
    recognised: Recognised | None
    trouble: ModelUnusable | None


@dataclass(frozen=True, kw_only=True)
class _Entry:
    path: Path
    where: str
    elsewhere: bool
    size: int
    changed: int


class Inventory:
    """Safe for many threads. `more_folders` are never written to."""

    def __init__(self, folder: ModelsFolder, more_folders: Sequence[Path], records: Records) -> None:
        self._folder = folder
        self._more = tuple(more_folders)
        self._records = records
        self._looking = threading.Lock()
        self._looked_at = -SECONDS_BETWEEN_LOOKS
        self._entries: tuple[_Entry, ...] = ()
        self._recognised: dict[tuple[Path, int, int], Recognised | ModelUnusable] = {}

    def item(self, file: WeightFile) -> Item:
        """Raises nothing: what cannot be looked at is missing."""
        try:
            here = self._here(file)
        except (OSError, DownloadFailed):
            here = None
        if here is not None and here.state != "partial":
            return here
        return self._elsewhere(file) or here or Item(file=file, state="missing", bytes=0, path=None)

    def others(self, known: Sequence[WeightFile]) -> tuple[Seen, ...]:
        """Every other file of weights, in the order of their names."""
        places = {home / file.place for file in known if not file.place.is_absolute() for home in self._folder.homes}
        copies = {(name, file.size) for file in known for name in file.names if file.size is not None}
        found = (entry for entry in self._look() if entry.path not in places)
        # Another program's copy of a file of the catalogue stands in its place already.
        seen = [self._seen(entry) for entry in found if (entry.path.name, entry.size) not in copies]
        # Of several files that are one checkpoint, the first stands for it.
        rest = {path for each in seen if each.recognised for path in each.recognised.files if path != each.path}
        firsts = {each.path for each in seen if each.recognised and each.path == min(each.recognised.files)}
        return tuple(each for each in seen if each.path in firsts or each.path not in rest)

    def forget(self) -> None:
        """Look anew the next time."""
        with self._looking:
            self._looked_at = -SECONDS_BETWEEN_LOOKS

    def _here(self, file: WeightFile) -> Item | None:
        absolute = file.place.is_absolute()
        if not absolute and ".." in file.place.parts:
            return None
        home = self._folder.home_of(file.place) or self._folder.path
        path = Path(file.place) if absolute else home / file.place
        try:
            status = path.stat()
        except FileNotFoundError:
            return None if absolute else self._partial(file)
        state = self._judged(file, status.st_size, status.st_mtime_ns)
        return Item(file=file, state=state, bytes=status.st_size, path=path, elsewhere=absolute)

    def _judged(self, file: WeightFile, size: int, changed: int) -> State:
        verdict = self._records.verdict(str(file.place))
        if verdict is not None and (verdict.size, verdict.changed) == (size, changed):
            return "whole" if verdict.whole else "damaged"
        return "unchecked" if file.size in (None, size) else "damaged"

    def _partial(self, file: WeightFile) -> Item | None:
        part = self._folder.part(file.place)
        return Item(file=file, state="partial", bytes=part.stat().st_size, path=None) if part.exists() else None

    def _elsewhere(self, file: WeightFile) -> Item | None:
        """A file of that name and size. One whose size nobody knows could be anything: tokenizers have such names."""
        if file.size is None:
            return None
        for entry in self._look():
            is_it = entry.elsewhere and entry.path.name in file.names and entry.size == file.size
            if is_it and has_sayable_name(entry.path):
                state = self._judged(file, entry.size, entry.changed)
                return Item(file=file, state=state, bytes=entry.size, path=entry.path, elsewhere=True)
        return None

    def _look(self) -> tuple[_Entry, ...]:
        with self._looking:
            if time.monotonic() - self._looked_at >= SECONDS_BETWEEN_LOOKS:
                self._entries = tuple(self._walk())
                self._looked_at = time.monotonic()
            return self._entries

    def _walk(self) -> Iterator[_Entry]:
        count = 0
        own: set[str] = set()
        tops = (*((False, home) for home in self._folder.homes), *((True, folder) for folder in self._more))
        for elsewhere, top in tops:
            for path in _weights_below(top):
                try:
                    status = path.stat()
                except OSError:
                    continue
                count += 1
                if count > MOST_FILES:
                    return
                where = str(path) if elsewhere else path.relative_to(top).as_posix()
                if where in own:
                    continue  # of a place that is in two stores, the first counts
                own |= set() if elsewhere else {where}
                yield _Entry(
                    path=path, where=where, elsewhere=elsewhere, size=status.st_size, changed=status.st_mtime_ns
                )

    def _seen(self, entry: _Entry) -> Seen:
        key = (entry.path, entry.size, entry.changed)
        found = self._recognised.get(key)
        if found is None:
            try:
                if not has_sayable_name(entry.path):
                    raise ModelUnusable("name", shown(entry.path.name))
                found = recognise(entry.path)
            except ModelUnusable as error:
                found = error
            self._recognised[key] = found
        return Seen(
            path=entry.path,
            where=_sayable(entry.where),
            bytes=entry.size,
            elsewhere=entry.elsewhere,
            recognised=found if isinstance(found, Recognised) else None,
            trouble=found if isinstance(found, ModelUnusable) else None,
        )


def _sayable(where: str) -> str:
    return where.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _weights_below(top: Path) -> Iterator[Path]:
    """Links are followed, and no folder is gone through twice."""
    been: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(top, followlinks=True):
        here = Path(folder)
        try:
            status = here.stat()
        except OSError:
            below.clear()
            continue
        depth = len(here.relative_to(top).parts)
        if (status.st_dev, status.st_ino) in been or depth > DEEPEST:
            below.clear()
            continue
        been.add((status.st_dev, status.st_ino))
        below[:] = sorted(
            name for name in below if name.lower() not in OTHER_KINDS and not name.startswith(".") and depth < DEEPEST
        )
        if here == top and "demo" in below:
            below.remove("demo")
        yield from (here / name for name in sorted(names) if _is_weights(name))


def _is_weights(name: str) -> bool:
    return (
        name.lower().endswith(SEEN_ENDINGS)
        and not name.endswith((CONVERTED_SUFFIX, PART_SUFFIX))
        and not name.startswith((TEMPORARY_PREFIX, "."))
    )
