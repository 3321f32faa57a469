"""Checkpoint: a picture in the making as bytes, from which another process goes on as if nothing had happened.

Must not know: pipes, files of history, or how a step is made.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from darkroom import __version__
from darkroom.request import GenerationRequest

log = logging.getLogger("darkroom.engine")

LATENTS, CACHED = "latents", "cached."
# Where safetensors keeps words of ours, behind the eight bytes that say how long they are.
HEADER_LENGTH = 8
WORDS = "__metadata__"
# Raised where what is inside would no longer be read the same.
FORM = "1"
UNREADABLE = (SafetensorError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Where a picture begins: after `number` steps, with these latents, and what a step cache held."""

    number: int
    latents: Tensor
    cached: Mapping[str, Tensor] = field(default_factory=dict)
    figures: tuple[float, ...] = ()


def stamps_of(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """By what files are known again, of those that are there: name, size and time of the last change."""
    there = [(file.name, file.stat()) for file in files if file.is_file()]
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in there)


def identity_of(request: GenerationRequest, *about_the_model: object) -> str:
    """What must be the same for the rest of a picture to go with its beginning; this version and torch's included."""
    parts: list[Any] = [FORM, __version__, torch.__version__, *about_the_model]
    words = json.dumps([request.model_dump(mode="json"), *map(str, parts)], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()


def pack(start: Start, identity: str) -> bytes:
    """Waits for the card."""
    tensors = {CACHED + name: tensor for name, tensor in start.cached.items()} | {LATENTS: start.latents}
    resting = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    words = {
        "identity": identity,
        "number": str(start.number),
        "figures": json.dumps(start.figures),
        "digest": _digest(resting),
    }
    content: bytes = save(resting, metadata=words)
    return content


def unpack(content: bytes, *, identity: str, steps: int) -> Start | None:
    """None, and a line in the log, where it is not of this picture or not whole."""
    try:
        length = int.from_bytes(content[:HEADER_LENGTH], "little")
        words = json.loads(content[HEADER_LENGTH : HEADER_LENGTH + length])[WORDS]
        tensors = load(content)
        whole = words["digest"] == _digest(tensors) and bool(tensors[LATENTS].isfinite().all())
        start = Start(
            number=int(words["number"]),
            latents=tensors.pop(LATENTS),
            cached={name.removeprefix(CACHED): tensor for name, tensor in tensors.items()},
            figures=tuple(json.loads(words["figures"])),
        )
    except UNREADABLE as error:
        log.warning("The checkpoint cannot be read; the picture begins anew: %s", error)
        return None
    if not whole or not 0 < start.number <= steps:
        log.warning("The checkpoint is damaged; the picture begins anew")
        return None
    if words["identity"] != identity:
        log.warning("The checkpoint is of another request, model or version; the picture begins anew")
        return None
    return start


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
