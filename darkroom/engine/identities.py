"""Identities: what tells whether a file of weights is the one it was before, without reading all of it.

Must not know: what is in the file, or what was made of it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from darkroom.errors import ModelUnusable

# safetensors reads no larger header.
LARGEST_HEADER = 100_000_000
SAMPLES = 64
SAMPLE_BYTES = 4096


def identities_of(paths: Sequence[Path]) -> str:
    """What tells whether a source was changed: name, size, time, and a digest of its header and samples of the rest.

    Reading all of it would take as long as loading it. The header has every name, shape and place; whoever writes other
    weights under the same header changes the time, and almost surely one of the samples.
    """
    found = []
    for path in paths:
        try:
            with path.open("rb") as file:
                about = os.fstat(file.fileno())
                text = header_text(file)
                digest = sampled(file, 8 + len(text), hashlib.sha256(text))
        except FileNotFoundError as error:
            raise ModelUnusable("missing", path.name) from error
        except (OSError, ValueError) as error:
            raise ModelUnusable("damaged", path.name) from error
        found.append({"name": path.name, "size": about.st_size, "time": about.st_mtime_ns, "digest": digest})
    return json.dumps(found)


def header_text(file: BinaryIO) -> bytes:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise ValueError("no safetensors file")
    return file.read(length)


def sampled(file: BinaryIO, start: int, digest: "hashlib._Hash") -> str:
    """The digest with pieces of the file added, spread evenly over what comes after `start`, both ends among them."""
    last = max(start, file.seek(0, os.SEEK_END) - SAMPLE_BYTES)
    for number in range(SAMPLES):
        file.seek(start + (last - start) * number // (SAMPLES - 1))
        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
