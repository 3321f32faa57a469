"""What a safetensors file says it holds: names, types, shapes and places. No weight is read.

A file may come from anywhere, and may lie. Must not know: models, or what a name means.
"""

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from darkroom.errors import ModelUnusable

# Headers of FLUX.1 have some hundred KB; a LoRA's may have its training pictures' captions, some MB. What is parsed
# takes up to twenty times as much.
LARGEST_HEADER = 24 << 20
LARGEST_SIDE = 2**48
LONGEST_NAME = 1024

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}

PICKLED = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
PICKLE_MAGIC = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(6)))
# What a download saves when it was not let in: a page, an error in JSON, the name of a file that lies elsewhere.
TEXT_MAGIC = (b"<", b"{", b"version https://git-lfs")


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """`start` counts from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """Tensors by name, in the order they lie in. Names are any text: never a path."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Of a whole file: what it says about itself agrees with itself and with its size. Raises ModelUnusable."""
    try:
        # A pipe or a device would never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelUnusable("damaged", path.name)
        with path.open("rb") as file:
            size = path.stat().st_size
            text = _text(file, size, path)
    except FileNotFoundError as error:
        raise ModelUnusable("missing", path.name) from error
    except OSError as error:
        raise ModelUnusable("damaged", path.name) from error
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_refuse)
        return _checked(path, content, 8 + len(text), size)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelUnusable("damaged", path.name) from error


def _text(file: BinaryIO, size: int, path: Path) -> bytes:
    beginning = file.read(64)
    length = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] != b"{":
        raise _something_else(path, beginning)
    if length > min(LARGEST_HEADER, size - 8):
        raise ModelUnusable("damaged", path.name)
    file.seek(8)
    return file.read(length)


def _something_else(path: Path, beginning: bytes) -> ModelUnusable:
    if beginning.startswith(b"GGUF"):
        return ModelUnusable("gguf", path.name)
    if beginning.lstrip().startswith(TEXT_MAGIC):
        return ModelUnusable("web_page", path.name)
    if path.suffix.lower() in PICKLED or beginning.startswith(PICKLE_MAGIC):
        return ModelUnusable("pickled", path.name)
    return ModelUnusable("damaged", path.name)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no size")


def _checked(path: Path, content: dict[str, dict[str, object]], start: int, size: int) -> Header:
    metadata = content.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the metadata is not text")
    found: list[tuple[str, TensorInfo]] = []
    for name, about in content.items():
        if len(name) > LONGEST_NAME or about.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError("a tensor has too long a name, or other fields")
        shape, (begin, end) = _sizes(about["shape"]), _sizes(about["data_offsets"])
        dtype = about["dtype"]
        if not isinstance(dtype, str) or math.prod(shape) * BITS[dtype] != 8 * (end - begin):
            raise ValueError("a tensor is larger or smaller than its place")
        found.append((name, TensorInfo(dtype=dtype, shape=shape, start=start + begin, bytes=end - begin)))
    found.sort(key=lambda each: (each[1].start, each[1].bytes))
    place = start
    for _, tensor in found:
        if tensor.start != place:
            raise ValueError("tensors overlap, or something lies between them")
        place += tensor.bytes
    if place != size:
        raise ValueError("the file is longer or shorter than its tensors")
    return Header(path=path, tensors=dict(found), metadata={name: str(value) for name, value in metadata.items()})


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(number) is int and 0 <= number <= LARGEST_SIDE for number in value):
        raise ValueError("a size is no size")
    return tuple(value)
