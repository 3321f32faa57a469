"""Files of any size that take no room: a header, and a hole where the weights would be."""

import json
from collections.abc import Mapping
from pathlib import Path

from darkroom.checkpoints.header import BITS

Fields = Mapping[str, tuple[str, tuple[int, ...]]]


def raw(path: Path, header: bytes, size: int = 0, *, length: int | None = None) -> Path:
    """`length` is what the file says of its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write((len(header) if length is None else length).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    return path


def sparse(path: Path, fields: Fields, metadata: Mapping[str, str] | None = None) -> Path:
    content: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    place = 0
    for name, (dtype, shape) in fields.items():
        size = BITS[dtype]
        for side in shape:
            size *= side
        content[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + size // 8]}
        place += size // 8
    return raw(path, json.dumps(content).encode(), place)
