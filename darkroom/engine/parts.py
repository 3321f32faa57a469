"""Parts: what a model is made of, as it comes from its files. What another model has too is loaded once.

Must not know: pipelines, requests, or which weights are where.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from darkroom.catalog import ModelEntry
from darkroom.checkpoints.folders import files_of
from darkroom.checkpoints.parts import part_named
from darkroom.checkpoints.suiting import must_suit
from darkroom.engine.conversion import find_weights
from darkroom.engine.resting import Unit
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable

# DiffSynth's names for models, and its pipeline's.
NAMES: Mapping[str, str] = {
    "flux_text_encoder_clip": "text_encoder_1",
    "flux_text_encoder_t5": "text_encoder_2",
    "flux_dit": "dit",
    "flux_vae_encoder": "vae_encoder",
    "flux_vae_decoder": "vae_decoder",
}

Stamp: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """`models` by their names in the pipeline. `stamp`: by what `file` is known again. `bytes`: the file's own.

    `units` is memory that the models have settled in, if they were in use before.
    """

    name: str
    file: Path
    stamp: Stamp
    models: Mapping[str, nn.Module]
    bytes: int
    units: Mapping[nn.Module, Unit] = field(default_factory=dict)

    @property
    def is_outdated(self) -> bool:
        """The file is another by now. One that is gone is not: what was read of it is as good as before."""
        return stamp_of(self.name, self.file) not in (None, self.stamp)

    def with_its_own(self, units: Mapping[nn.Module, Unit]) -> "Part":
        modules = {module for model in self.models.values() for module in model.modules()}
        return replace(self, units={module: unit for module, unit in units.items() if module in modules})


def part_files(model: ModelEntry, folder: Path) -> dict[str, Path]:
    """In the order in which they are read: a prompt can be read before all of the transformer is there.

    Raises ModelUnusable, also where a file is of another kind than the model.
    """
    paths = {
        "text_encoder_1": model.files.text_encoder_1,
        "text_encoder_2": model.files.text_encoder_2,
        "transformer": model.files.transformer,
        "vae": model.files.vae,
    }
    for name, path in paths.items():
        if not (folder / path).exists():
            # Named as a person would look for it.
            raise ModelUnusable("missing", str(path))
        if (part := part_named(name)) is not None:
            must_suit(folder / path, part, model.architecture)
    return {name: folder / path for name, path in paths.items()}


def stamp_of(name: str, file: Path) -> Stamp | None:
    """Where each of its files is, its size, and the time of its last change; None if one cannot be looked at."""
    try:
        there = [(each, each.stat()) for each in files_of(file, part_named(name))]
    except (OSError, ModelUnusable):
        return None
    return tuple((str(each.resolve()), status.st_size, status.st_mtime_ns) for each, status in there)


def common_parts(parts: Mapping[str, Part], files: Mapping[str, Path]) -> dict[str, Part]:
    """Those that are of the same files under the same name."""
    return {name: part for name, part in parts.items() if name in files and stamp_of(name, files[name]) == part.stamp}


def load_parts(
    files: Mapping[str, Path],
    watcher: Watcher,
    *,
    dtype: torch.dtype,
    convert: bool = False,
    cache: Path | None = None,
    kept: Mapping[str, Part] | None = None,
) -> dict[str, Part]:
    """By the names of `files`, in their order. Of `kept`, parts that are of the same files still are taken as they are.

    Raises ModelUnusable, and what the watcher raises. With `convert` and `cache`: see `conversion.py`.
    """
    stamps = {name: stamp_of(name, file) or () for name, file in files.items()}
    parts = common_parts(kept or {}, files)
    weights = {
        name: find_weights(file, dtype=dtype, part=part_named(name), cache=cache, convert=convert)
        for name, file in files.items()
        if name not in parts
    }
    progress = _Progress(watcher, sum(each.bytes for each in weights.values()) + sum(p.bytes for p in parts.values()))
    for part in parts.values():
        progress.come(part.bytes)
    for name, each in weights.items():
        progress.tell(name)

        def read(count: int, name: str = name) -> None:
            progress.come(count)
            progress.tell(name)

        loaded = each.load(read=read, left=lambda count: progress.come(-count))
        models = {NAMES[known]: model for known, model in loaded.items()}
        parts[name] = Part(name=name, file=files[name], stamp=stamps[name], models=models, bytes=each.bytes)
    return {name: parts[name] for name in files}


class _Progress:
    """Bytes of all files, and how many have come; what is told never becomes less."""

    def __init__(self, watcher: Watcher, total: int) -> None:
        self._watcher, self._total = watcher, total
        self._come, self._told = 0, 0.0

    def come(self, count: int) -> None:
        self._come += count

    def tell(self, name: str) -> None:
        self._told = max(self._told, min(1.0, self._come / self._total))
        self._watcher.loading(name, self._told)
