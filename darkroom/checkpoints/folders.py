"""Which files a checkpoint is made of: one, the shards of one, or a folder as diffusers writes it.

Must not know: what is in them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from darkroom.checkpoints.parts import PartName
from darkroom.errors import ModelUnusable

INDEX = ".safetensors.index.json"
ENDINGS = (".safetensors", ".sft")
# What Darkroom has made of a checkpoint for itself, beside it. No checkpoint of a person's.
CONVERTED_SUFFIX = ".darkroom-float8.safetensors"
LARGEST_INDEX = 16 << 20
# A pipeline's folders for its parts.
PIPELINE: Mapping[PartName, str] = {
    "transformer": "transformer",
    "text_encoder_1": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "vae": "vae",
}
PIPELINE_MARK = "model_index.json"

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.safetensors|\.sft)")


def sets_of(path: Path) -> tuple[tuple[Path, ...], ...]:
    """The files of each checkpoint that `path` stands for: one checkpoint, or a pipeline's. Raises ModelUnusable."""
    found = [files_of(path, part) for part, name in PIPELINE.items() if _is_pipeline(path) and (path / name).is_dir()]
    return tuple(found) or (files_of(path),)


def files_of(path: Path, part: PartName | None = None) -> tuple[Path, ...]:
    """The files of one checkpoint: `path` is one of them, their index, or their folder. Raises ModelUnusable.

    Of a pipeline's folder they are those of `part`.
    """
    if part is not None and _is_pipeline(path):
        return _in_folder(path / PIPELINE[part])
    if path.is_dir():
        return _in_folder(path)
    if path.name.endswith(INDEX):
        return _named_in_index(path)
    shard = _SHARD.fullmatch(path.name)
    if shard is None or not 1 < int(shard["count"]) < 1000:
        return (path,)
    count = int(shard["count"])
    shards = [f"{shard['stem']}-{number:05}-of-{count:05}{shard['ending']}" for number in range(1, count + 1)]
    return _all_there(path, shards)


def _is_pipeline(path: Path) -> bool:
    return path.is_dir() and (path / PIPELINE_MARK).is_file()


def _in_folder(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(each.name for each in folder.iterdir())
    except OSError as error:
        raise ModelUnusable("damaged", folder.name) from error
    if indices := [name for name in names if name.endswith(INDEX)]:
        # Of several, those in another precision have it in their name: the plain one is the shortest.
        return _named_in_index(folder / min(indices, key=len))
    weights = [name for name in names if name.endswith(ENDINGS) and not name.endswith(CONVERTED_SUFFIX)]
    if not weights:
        raise ModelUnusable("unknown", folder.name)
    return files_of(folder / min(weights, key=len))


def _named_in_index(index: Path) -> tuple[Path, ...]:
    try:
        if index.stat().st_size > LARGEST_INDEX:
            raise ModelUnusable("damaged", index.name)
        weight_map = json.loads(index.read_text("utf-8"))["weight_map"]
        if not isinstance(weight_map, Mapping) or not weight_map:
            raise ModelUnusable("damaged", index.name)
    except FileNotFoundError as error:
        raise ModelUnusable("missing", index.name) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelUnusable("damaged", index.name) from error
    names = sorted({str(name) for name in weight_map.values()})
    if any(re.search(r"[/\\\x00]", name) or not name.endswith(ENDINGS) for name in names):
        # Beside the index, nowhere else.
        raise ModelUnusable("damaged", index.name)
    return _all_there(index, names)


def _all_there(path: Path, names: list[str]) -> tuple[Path, ...]:
    for name in names:
        if not (path.parent / name).is_file():
            raise ModelUnusable("shard", path.name, found=name)
    return tuple(path.parent / name for name in names)
