"""Conversion: a checkpoint in bf16, fp16 or fp32 becomes, once, a file of ours of half the size that loads straight.

In it the blocks' weights are scaled float8, and tensors lie in the order they are copied in. Reading it gives the same
model, bit for bit, as reading its source. Must not know: requests, steps, or where a model will run.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from darkroom.checkpoints.folders import CONVERTED_SUFFIX
from darkroom.checkpoints.parts import PartName
from darkroom.checkpoints.recognition import CONVERTED
from darkroom.engine.identities import header_text, identities_of, sampled
from darkroom.engine.incoming import Incoming
from darkroom.engine.loading import (
    BLOCKS,
    CONVERTED_VERSION,
    SCALE_SUFFIX,
    TYPES,
    BytesRead,
    Checkpoint,
    load_models,
    running_order,
    skeleton,
    source_files,
)
from darkroom.engine.numbers import Verdicts
from darkroom.errors import ModelUnusable
from darkroom.files import TEMPORARY_PREFIX, TEMPORARY_SUFFIX

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("darkroom.engine")

SUFFIX = CONVERTED_SUFFIX
# Tensors begin at a page's border.
HEADER_STEP = 4096
# Written bytes go to the disk in portions, so that progress is honest and the last flush is short.
PORTION = 256 << 20
# A conversion leaves this much of the disk to others.
SPARE_BYTES = 2 << 30
NOT_YET = "0" * hashlib.sha256().digest_size * 2
TYPE_NAMES = {dtype: name for name, dtype in TYPES.items()}


def find_weights(
    paths: Path | Sequence[Path],
    *,
    dtype: torch.dtype,
    part: PartName | None = None,
    cache: Path | None = None,
    convert: bool = True,
) -> "Weights":
    """Where the weights of a checkpoint, or of a part of it, will come from: its files, or one of ours made of them.

    Ours lies beside the source, or in `cache` where that folder cannot be written to. Raises ModelUnusable.
    """
    sources = source_files(paths, part)
    checkpoint = Checkpoint(sources, part)
    weights = Weights(
        sources=sources,
        part=part,
        dtype=dtype,
        bytes=checkpoint.bytes,
        converted=None,
        target=None,
        identities=identities_of(sources),
        verdicts=Verdicts(cache),
    )
    if not convert or not _gains(checkpoint):
        return weights
    places = _places(sources[0], part if checkpoint.is_shared else None, cache)
    for place in places:
        size = _usable_bytes(place, weights.identities, dtype) if place.is_file() else None
        if size is not None:
            return replace(weights, bytes=size, converted=place, target=place)
    target = _writable(places)
    if target is None:
        folders = " or ".join(str(place.parent) for place in places)
        log.warning("%s is read as it is: what it converts to cannot be written to %s", sources[0].name, folders)
    return replace(weights, target=target)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """`bytes` are those that `read` will be told of. `converted` will be read, or `target` be written first, if any."""

    sources: tuple[Path, ...]
    part: PartName | None
    dtype: torch.dtype
    bytes: int
    converted: Path | None
    target: Path | None
    identities: str
    verdicts: Verdicts

    def load(self, *, read: BytesRead, left: BytesRead = lambda _: None) -> dict[str, nn.Module]:
        """As `load_models` gives them. A conversion that fails is logged, and the source is read as it is.

        `read` may raise, also in the middle of a conversion: then nothing of that is left. Raises ModelUnusable.
        """
        progress = _Progress(read, self.bytes)
        models = self._from_converted(self.converted, progress, left)
        models = models or self._from_converted(self._convert(progress), None, left)
        if models is None:
            progress.begin_again()
            models = self._from_sources(progress, left)
        progress.finish()
        return models

    def _from_sources(self, progress: "_Progress", left: BytesRead) -> dict[str, nn.Module]:
        label = f"{self.part} of {self.identities}"
        known = self.verdicts.are_good(self.sources, label)
        models = load_models(
            self.sources, dtype=self.dtype, read=progress, left=left, part=self.part, looked_through=known
        )
        if not known:
            self.verdicts.remember(self.sources, label)
        return models

    def _from_converted(
        self, path: Path | None, progress: "_Progress | None", left: BytesRead
    ) -> dict[str, nn.Module] | None:
        """A file just converted is not told of twice."""
        if path is None:
            return None
        try:
            # Of what was converted all is known to be numbers.
            return load_models(
                path, dtype=self.dtype, read=progress or (lambda _: None), left=left, looked_through=True
            )
        except ModelUnusable:
            log.warning("%s cannot be used any more", path.name)
            return None

    def _convert(self, progress: "_Progress") -> Path | None:
        if self.target is None:
            return None
        progress.begin_again()
        log.info("converting %s, once", self.sources[0].name)
        try:
            convert(self.sources, self.target, dtype=self.dtype, read=progress, part=self.part)
        except OSError as error:
            log.warning("%s could not be converted, and is read as it is: %s", self.sources[0].name, error)
            return None
        return self.target


def convert(
    sources: Sequence[Path], target: Path, *, dtype: torch.dtype, read: BytesRead, part: PartName | None = None
) -> None:
    """Write `target`; what had that name goes first. `read` is told of the sources' bytes, and may raise.

    The name stands for the whole file or for nothing, whatever happens. Raises ModelUnusable, and OSError where there
    is no room, where another process is at it, or where a source changes meanwhile.
    """
    identities = identities_of(sources)
    checkpoint = Checkpoint(sources, part)
    (entry,) = checkpoint.entries
    model = skeleton(entry)
    parts, aliases = checkpoint.incoming(entry, model)
    order = running_order(str(entry["model_name"]), model, parts)
    lossless = dtype == torch.float32 or all(each.is_kept_in(dtype) for each in parts if not each.is_float8)
    notes = {
        "format": "pt",
        CONVERTED: CONVERTED_VERSION,
        "model_hash": checkpoint.model_hash,
        "type": TYPE_NAMES[dtype],
        "lossless": str(lossless),
        "aliases": json.dumps(aliases),
        "sources": identities,
        "content": NOT_YET,
    }
    fields = [field for each in order for field in _fields(each, dtype)]
    _make_room(target, sum(size for _, _, _, size in fields))

    def tensors() -> Iterator[Tensor]:
        while order:
            each = order.pop(0)
            result, scale = each.quantized() if each.is_float8 else (each.plain(dtype), None)
            if not each.are_numbers(result, scale):
                raise ModelUnusable("numbers", checkpoint.name, found=each.label)
            yield from (result,) if scale is None else (result, scale)
            checkpoint.let_go(each)
            read(each.nbytes)

    parts.clear()
    _write(target, fields, notes, tensors(), lambda: identities_of(sources) == identities)


def _gains(checkpoint: Checkpoint) -> bool:
    """Whether converted it is smaller, or need not be put together: one model with blocks, most of it wider than a byte
    or in pieces."""
    if len(checkpoint.entries) != 1 or checkpoint.entries[0]["model_name"] not in BLOCKS:
        return False
    return checkpoint.is_joined or checkpoint.wide_bytes > checkpoint.bytes / 2


_Field = tuple[str, torch.dtype, list[int], int]


def _fields(each: Incoming, dtype: torch.dtype) -> list[_Field]:
    shape = list(each.shape)
    if each.is_float8:
        scale: _Field = (each.layer + SCALE_SUFFIX, torch.float32, [], torch.float32.itemsize)
        return [(each.name, torch.float8_e4m3fn, shape, each.numel), scale]
    kept = dtype if each.is_floating_point else each.dtypes[0]
    return [(each.name, kept, shape, each.numel * kept.itemsize)]


def _header(fields: Sequence[_Field], notes: dict[str, str]) -> bytes:
    content: dict[str, object] = {"__metadata__": notes}
    offset = 0
    for name, dtype, shape, size in fields:
        content[name] = {"dtype": TYPE_NAMES[dtype], "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(content).encode()
    text += b" " * (-(len(text) + 8) % HEADER_STEP)
    return len(text).to_bytes(8, "little") + text


def _write(
    target: Path, fields: Sequence[_Field], notes: dict[str, str], tensors: Iterator[Tensor], still: Callable[[], bool]
) -> None:
    temporary = target.parent / f"{TEMPORARY_PREFIX}{target.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("x+b") as file:
            _lock(file)
            header = _header(fields, notes)
            file.write(header)
            unflushed = 0
            for tensor, (_, dtype, _, size) in zip(tensors, fields, strict=True):
                content = tensor.contiguous().view(-1).view(torch.uint8).numpy()
                assert tensor.dtype == dtype
                assert len(content) == size
                file.write(content.data)
                unflushed += size
                if unflushed > PORTION:
                    unflushed = 0
                    _flush(file)
            _flush(file)
            digest = sampled(file, len(header), hashlib.sha256())
            file.seek(0)
            file.write(_header(fields, notes | {"content": digest}))
            _flush(file)
            if not still():
                raise OSError("the source was changed while it was read")
        # Lost in a power cut, the name is only written again: the folder need not be flushed.
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _usable_bytes(path: Path, identities: str, dtype: torch.dtype) -> int | None:
    """The bytes of its tensors, if the file is whole and what converting the sources would give."""
    try:
        with path.open("rb") as file:
            text = header_text(file)
            header = json.loads(text)
            notes = header.pop("__metadata__")
            size = max(int(field["data_offsets"][1]) for field in header.values())
            start = 8 + len(text)
            usable = (
                notes[CONVERTED] == CONVERTED_VERSION
                and notes["sources"] == identities
                and (notes["type"] == TYPE_NAMES[dtype] or notes["lossless"] == "True")
                and path.stat().st_size == start + size
                and notes["content"] == sampled(file, start, hashlib.sha256())
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        # Whatever it holds, it is none of ours.
        return None
    return size if usable else None


def _places(source: Path, part: PartName | None, cache: Path | None) -> tuple[Path, ...]:
    """Where the file of ours may lie, the best first. Sources from several folders share one cache."""
    stem = f"{source.stem}.{part}" if part else source.stem
    beside = source.with_name(stem + SUFFIX)
    if cache is None:
        return (beside,)
    folder = hashlib.sha256(str(source.parent.resolve()).encode()).hexdigest()[:8]
    return beside, cache / f"{stem}.{folder}{SUFFIX}"


def _writable(places: Sequence[Path]) -> Path | None:
    for place in places:
        with suppress(OSError):
            if place is not places[0]:
                place.parent.mkdir(parents=True, exist_ok=True)
            if os.access(place.parent, os.W_OK):
                return place
    return None


def _make_room(target: Path, size: int) -> None:
    """What an earlier version or a conversion that was cut off has left goes first. Raises OSError."""
    target.unlink(missing_ok=True)
    for left in target.parent.glob(f"{TEMPORARY_PREFIX}{target.name}.*{TEMPORARY_SUFFIX}"):
        # Where files that are open cannot be removed, there is no need to ask for the lock.
        with left.open("rb") as file:
            _lock(file)
        left.unlink()
    if shutil.disk_usage(target.parent).free < size + SPARE_BYTES:
        raise OSError(f"it takes {size / 1e9:.1f} GB in {target.parent.name}, and there is not enough room")


def _lock(file: BinaryIO) -> None:
    """For as long as the file is open. The lock goes with its process, however that ends. Raises BlockingIOError."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


class _Progress:
    """Tells of each byte once, even if reading begins again, and of all of them in the end."""

    def __init__(self, read: BytesRead, total: int) -> None:
        self._read = read
        self._total = total
        self._told = 0
        self._place = 0

    def __call__(self, count: int) -> None:
        self._place += count
        new = max(0, min(self._place, self._total) - self._told)
        self._told += new
        # Also of nothing: it may be asked to stop.
        self._read(new)

    def begin_again(self) -> None:
        self._place = 0

    def finish(self) -> None:
        self._place = 0
        self(self._total)
