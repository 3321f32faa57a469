"""Shelf: every model there is or could be, what each lacks, what depends on a file, and removing one for good.

The catalogue's, a person's own of the settings, and those that lie in the folders. Must not know: hubs, or pages.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from darkroom.catalog import DEMO, FLUX1_DEV, FLUX1_SCHNELL, MODELS, ModelEntry
from darkroom.checkpoints.folders import CONVERTED_SUFFIX
from darkroom.config import HubFile, OwnModel, Settings
from darkroom.downloads.digests import Digests
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.inventory import Inventory, Item, Seen
from darkroom.downloads.records import Records
from darkroom.errors import DownloadFailed, NotFound, StillNeeded
from darkroom.weights import SHARED_FILES, Source, WeightFile

NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
LONGEST_NAME = 60
# What a file that was found can be like.
LIKE = (FLUX1_DEV, FLUX1_SCHNELL, DEMO)
ENCODERS = ("text_encoder_1", "text_encoder_2", "vae")
# What ComfyUI, Forge and others call the folder of LoRAs beside their models, or a person has named itself.
LORA_FOLDERS = ("loras", "Loras", "lora", "Lora")


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """A model with its files. `entry` names them where they really are. `ships`: it came with Darkroom.

    `nowhere` are files that come with Darkroom and are gone all the same.
    """

    entry: ModelEntry
    items: tuple[Item, ...]
    seen: Seen | None = None
    nowhere: tuple[PurePosixPath, ...] = ()

    @property
    def ships(self) -> bool:
        return not self.items

    @property
    def is_here(self) -> bool:
        return all(item.is_usable for item in self.items) and not self.nowhere

    @property
    def own_items(self) -> tuple[Item, ...]:
        """Those that no other model has."""
        return tuple(item for item in self.items if item.file not in SHARED_FILES)

    @property
    def lacking(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if not item.is_usable)


class Shelf:
    """Safe for many threads. `shipped`: where the demo model is if it is not in the models folder."""

    def __init__(self, settings: Settings, shipped: Path | None = None) -> None:
        self._shipped = shipped or Path(__file__).parents[2] / "models"
        self.folder = ModelsFolder(settings.folders.models, settings.models.stores)
        self.records = Records(settings.folders.models)
        self.digests = Digests(self.records)
        self._inventory = Inventory(self.folder, settings.models.folders, self.records)
        self._more_loras = tuple(
            PurePosixPath(each.as_posix()) for folder in settings.models.folders for each in _lora_folders_of(folder)
        )
        self._known = (*MODELS, *(_own_entry(own) for own in settings.models.own))

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Each once, in the order of the models."""
        return tuple(dict.fromkeys(file for entry in self._known for file in entry.weights))

    def file(self, place: str) -> WeightFile:
        """Raises NotFound."""
        for file in self.files:
            if str(file.place) == place:
                return file
        for state in self.models():
            for item in state.items:
                if str(item.file.place) == place:
                    return item.file
        raise NotFound("file", place)

    def item(self, file: WeightFile) -> Item:
        return self._inventory.item(file)

    def shared(self) -> tuple[Item, ...]:
        return tuple(self.item(file) for file in SHARED_FILES)

    def models(self) -> tuple[ModelState, ...]:
        """The known ones in their order, then those that were found."""
        known = tuple(self._state(entry) for entry in self._known)
        names = {state.entry.name for state in known}
        return (*known, *self._found(names))

    def model(self, name: str) -> ModelState:
        """Raises NotFound."""
        for state in self.models():
            if state.entry.name == name:
                return state
        raise NotFound("model", name)

    def entries(self) -> tuple[ModelEntry, ...]:
        """Those that pictures can be made with now; if there are none, what ships, so that a form has one to name."""
        states = self.models()
        here = tuple(state.entry for state in states if state.is_here)
        return here or tuple(state.entry for state in states if state.ships)

    def find(self, name: str) -> ModelEntry:
        """One that can be used, or that the catalogue knows. Raises NotFound."""
        return self.model(name).entry

    def others(self) -> tuple[Seen, ...]:
        """Files that lie in the folders and are not the catalogue's."""
        return self._inventory.others(self.files)

    def dependants(self, file: WeightFile) -> tuple[ModelEntry, ...]:
        """Models whose own files are here, and that cannot be used without this one."""
        return tuple(
            state.entry
            for state in self.models()
            if any(item.file == file for item in state.items)
            and all(item.is_usable for item in state.own_items)
            and not (file not in SHARED_FILES and len(state.own_items) == 1)
        )

    def look_again(self) -> None:
        self._inventory.forget()

    def remove_model(self, name: str) -> tuple[str, ...]:
        """Its own files, for good; what it shares with others stays. Their places. Raises NotFound, DownloadFailed."""
        state = self.model(name)
        if state.ships:
            raise DownloadFailed("ships", file=state.entry.title)
        for item in state.own_items:
            self._remove(item)
        return tuple(str(item.file.place) for item in state.own_items)

    def remove_file(self, place: str, *, consent: bool = False) -> None:
        """For good. Raises NotFound, DownloadFailed, and StillNeeded unless there is consent to that."""
        file = self.file(place)
        needing = self.dependants(file)
        if needing and not consent:
            raise StillNeeded(file.place.name, [entry.title for entry in needing])
        self._remove(self.item(file))

    def _remove(self, item: Item) -> None:
        file = item.file
        if item.elsewhere:
            raise DownloadFailed("outside", file=str(item.path))
        path, part = self.folder.own(file.place), self.folder.part(file.place)
        try:
            # The last is what the engine made of it.
            for each in (path, part, path.with_name(path.stem + CONVERTED_SUFFIX)):
                each.unlink(missing_ok=True)
        except OSError as error:
            raise DownloadFailed("not_writable", file=file.place.name) from error
        self.records.judge(str(file.place), None)
        self.records.begin(str(file.place), None)
        self.look_again()

    def _state(self, entry: ModelEntry) -> ModelState:
        items = tuple(self.item(file) for file in entry.weights)
        there = _where_it_is(entry, items, self.folder.path)
        moved, nowhere = _shipped_files(entry, self.folder.path, self._shipped)
        files = replace(there.files, **moved)
        return ModelState(entry=replace(there, files=files, more_loras=self._more_loras), items=items, nowhere=nowhere)

    def _found(self, names: set[str]) -> Iterator[ModelState]:
        for seen in self.others():
            recognised = seen.recognised
            if recognised is None or recognised.architecture is None or "transformer" not in recognised.part_names:
                continue
            like = next((entry for entry in LIKE if recognised.fits(entry.architecture)), None)
            if like is None:
                continue
            name = _free_name(seen.path.stem, names)
            names.add(name)
            own = tuple(_found_file(seen, path) for path in recognised.files)
            parts = {part: own[0].place for part in ENCODERS if part in recognised.part_names}
            entry = replace(
                like,
                name=name,
                title=recognised.title or seen.path.stem,
                licence="",
                terms="own",
                link="",
                architecture=recognised.architecture,
                files=replace(like.files, transformer=own[0].place, **parts),
                weights=(*own, *(file for file in like.weights if file in SHARED_FILES and file.part not in parts)),
            )
            state = self._state(entry)
            # An all-in-one file is each of its parts, wherever it lies.
            all_of_it = dict.fromkeys(parts, state.entry.files.transformer)
            there = replace(state.entry, files=replace(state.entry.files, **all_of_it))
            yield replace(state, entry=there, seen=seen)


def _lora_folders_of(folder: Path) -> Iterator[Path]:
    if folder.name in LORA_FOLDERS:
        yield folder
    else:
        yield from (folder / name for name in LORA_FOLDERS)


def _found_file(seen: Seen, path: Path) -> WeightFile:
    """Of the models folder it is a place in it, of another folder a path."""
    if seen.elsewhere:
        return WeightFile(part="transformer", place=PurePosixPath(path.as_posix()))
    return WeightFile(part="transformer", place=PurePosixPath(seen.where).parent / path.name)


def _where_it_is(entry: ModelEntry, items: Sequence[Item], models: Path) -> ModelEntry:
    """With the paths of files that lie in a store, or in another program's folders."""
    moved = {
        item.file.part: PurePosixPath(item.path.as_posix())
        for item in reversed(items)
        if item.path is not None and not item.path.is_relative_to(models) and item.file.is_large
    }
    return replace(entry, files=replace(entry.files, **moved)) if moved else entry


def _shipped_files(
    entry: ModelEntry, models: Path, shipped: Path
) -> tuple[dict[str, PurePosixPath], tuple[PurePosixPath, ...]]:
    """Those of the demo model, by part, where they are if none is in the models folder; and those that are gone.

    Never some from here and some from there: they may be of two versions.
    """
    fetched = {file.place for file in entry.weights}
    parts = {
        part: place
        for part, place in vars(entry.files).items()
        if place is not None and place not in fetched and place.is_relative_to(DEMO.files.transformer.parent)
    }
    home = models if any((models / place).exists() for place in parts.values()) else shipped
    moved = {part: PurePosixPath((home / place).as_posix()) for part, place in parts.items() if home != models}
    return moved, tuple(place for place in parts.values() if not (home / place).exists())


def _own_entry(own: OwnModel) -> ModelEntry:
    like = next(entry for entry in MODELS if entry.name == own.like)
    place = PurePosixPath(own.file.as_posix())
    transformer = WeightFile(
        part="transformer",
        place=place,
        sha256=own.sha256 or None,
        modelscope=_source(own.modelscope),
        huggingface=_source(own.huggingface),
    )
    return replace(
        like,
        name=own.name,
        title=own.title or own.name,
        licence=own.licence,
        terms="own",
        link=own.link,
        files=replace(like.files, transformer=place),
        weights=(transformer, *(file for file in like.weights if file in SHARED_FILES)),
    )


def _source(file: HubFile | None) -> Source | None:
    return Source(repository=file.repository, path=file.path) if file else None


def _free_name(stem: str, taken: set[str]) -> str:
    base = NOT_IN_A_NAME.sub("-", stem.lower()).strip("-.")[:LONGEST_NAME] or "model"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
