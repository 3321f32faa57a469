"""Files of a FLUX.1 at whatever shapes, with random weights, in each layout that such files are passed on in.

A tensor's numbers follow from its makers' name alone, so layouts of one type hold the same model. Written straight to
the disk from a small pool: 24 GB as fast as it takes them.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypeAlias

import torch

from darkroom.architecture import Architecture
from darkroom.checkpoints.parts import PartName, shapes_of
from darkroom.checkpoints.sources import diffusers_names
from darkroom.engine.loading import TYPES

SIGMA, SCALE = 0.02, 0.00025
# A prime, so that no two rows of a weight are the same numbers in the same places.
POOL = 4_194_301
TURNED = "final_layer.adaLN_modulation.1."


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One of a file: numbers `spans` (from, to) of the tensor that the makers call `native`, one after the other."""

    dtype: str
    shape: tuple[int, ...]
    native: str
    spans: tuple[tuple[int, int], ...]
    kind: str  # of the pool: "weights", "ones", "scaled" or "scale"

    @property
    def bytes(self) -> int:
        return sum(end - begin for begin, end in self.spans) * TYPES[self.dtype].itemsize


Tensors: TypeAlias = Mapping[str, Tensor]


# --- layouts, as tensors by name


def native(part: PartName, architecture: Architecture, dtype: str) -> dict[str, Tensor]:
    return {
        name: Tensor(dtype=dtype, shape=shape, native=name, spans=((0, _count(shape)),), kind=_kind(name, shape))
        for name, shape in shapes_of(part, architecture).items()
    }


def below(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def diffusers(architecture: Architecture, dtype: str) -> dict[str, Tensor]:
    """The transformer. Query, key, value and what comes after them are layers of their own."""
    return dict(_diffusers(architecture, dtype))


def _diffusers(architecture: Architecture, dtype: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in native("transformer", architecture, dtype).items():
        theirs, row = diffusers_names("transformer", name), _count(tensor.shape[1:])
        width, rows = architecture.width, tensor.shape[0]
        if name.startswith(TURNED):
            half = rows // 2 * row
            yield theirs[0], _with(tensor, tensor.shape, (half, 2 * half), (0, half))
            continue
        borders = [0, rows] if len(theirs) == 1 else [0, width, 2 * width, 3 * width, rows][: len(theirs) + 1]
        for each, begin, end in zip(theirs, borders[:-1], borders[1:], strict=True):
            yield each, _with(tensor, (end - begin, *tensor.shape[1:]), (begin * row, end * row))


def scaled(tensors: Tensors, suffix: str) -> dict[str, Tensor]:
    """Weights of layers as float8 with a scale beside each, as ComfyUI writes them."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not (name.endswith(".weight") and len(tensor.shape) == 2):
            found[name] = tensor
            continue
        shapes = {"shape": tensor.shape, "native": tensor.native, "spans": tensor.spans}
        found[name] = Tensor(dtype="F8_E4M3", kind="scaled", **shapes)  # type: ignore[arg-type]
        scale = name.removesuffix(".weight") + suffix
        found[scale] = Tensor(dtype="F32", shape=(), native=scale, spans=((0, 1),), kind="scale")
    return found


def all_in_one(architecture: Architecture) -> dict[str, Tensor]:
    return {
        **below("model.diffusion_model.", native("transformer", architecture, "F8_E4M3")),
        **below("text_encoders.clip_l.transformer.", native("text_encoder_1", architecture, "F16")),
        **below("text_encoders.t5xxl.transformer.", native("text_encoder_2", architecture, "F8_E4M3")),
        **below("vae.", native("vae", architecture, "F32")),
    }


def _with(tensor: Tensor, shape: tuple[int, ...], *spans: tuple[int, int]) -> Tensor:
    return Tensor(dtype=tensor.dtype, shape=shape, native=tensor.native, spans=spans, kind=tensor.kind)


def _count(shape: Sequence[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _kind(name: str, shape: tuple[int, ...]) -> str:
    """Norms are near one in a model that was trained."""
    return "ones" if name.endswith(".scale") or (len(shape) == 1 and name.endswith("weight")) else "weights"


# --- files


def write(path: Path, tensors: Tensors) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {}
    place = 0
    for name, tensor in tensors.items():
        offsets = [place, place := place + tensor.bytes]
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb", buffering=0) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            _pour(file, tensor)
    return path


def write_shards(folder: Path, tensors: Tensors, count: int = 3) -> Path:
    stem, names = "diffusion_pytorch_model", list(tensors)
    files = [f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for number, file in enumerate(files):
        write(folder / file, {name: tensors[name] for name in names[number::count]})
    weight_map = {name: files[place % count] for place, name in enumerate(names)}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def _pour(file: BinaryIO, tensor: Tensor) -> None:
    size = TYPES[tensor.dtype].itemsize
    pool = _pool(tensor.dtype, tensor.kind)
    numbers = len(pool) // size
    begins = zlib.crc32(tensor.native.encode())
    for begin, end in tensor.spans:
        while begin < end:
            place = (begins + begin) % numbers
            taken = min(end - begin, numbers - place)
            part = pool[place * size : (place + taken) * size]
            while part:
                part = part[file.write(part) :]
            begin += taken


@cache
def _pool(dtype: str, kind: str) -> memoryview:
    wanted = TYPES[dtype]
    if kind in ("ones", "scale"):
        values = torch.full((POOL if kind == "ones" else 1,), 1.0 if kind == "ones" else SCALE)
    else:
        values = torch.randn(POOL, generator=torch.Generator().manual_seed(20)) * SIGMA
        values = (values / SCALE).clamp(-448, 448) if kind == "scaled" else values
    return memoryview(values.to(wanted).view(torch.uint8).numpy().tobytes())
