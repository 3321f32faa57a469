"""Checkpoints in: safetensors files become DiffSynth models whose blocks hold scaled float8 weights.

What is in them `darkroom.checkpoints` says, in the names of FLUX.1's makers; DiffSynth knows these. Must not know:
requests, steps or pictures.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import convert_keys_dict_to_single_str
from diffsynth.core.vram.initialization import skip_model_initialization
from torch import Tensor, nn

from darkroom.checkpoints.folders import files_of
from darkroom.checkpoints.header import TensorInfo, read_header
from darkroom.checkpoints.parts import PartName
from darkroom.checkpoints.recognised import RecognisedPart
from darkroom.checkpoints.recognition import CONVERTED, contents_of, parts_of
from darkroom.checkpoints.sources import Source
from darkroom.engine.float8 import STORED, Float8Linear
from darkroom.engine.incoming import WEIGHT_SUFFIX, Incoming
from darkroom.engine.mapped_file import MappedFile, is_mapped
from darkroom.engine.numbers import all_numbers
from darkroom.errors import ModelUnusable

SCALE_SUFFIX = ".scale_weight"
# In the header of a file that `conversion.py` wrote: the version of its layout and of what `quantize` gives.
CONVERTED_VERSION = "2"

# By DiffSynth's names: the Linear layers below these rest as float8, and all else of the model in the computation type.
# In a model that is not named here, float8 is what the file has as float8.
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "flux_dit": ("blocks.", "single_blocks."),
    "flux_text_encoder_t5": ("encoder.block.",),
}

MODEL_NAMES: Mapping[PartName, tuple[str, ...]] = {
    "transformer": ("flux_dit",),
    "text_encoder_1": ("flux_text_encoder_clip",),
    "text_encoder_2": ("flux_text_encoder_t5",),
    "vae": ("flux_vae_encoder", "flux_vae_decoder"),
}

# What DiffSynth's list lacks: FLUX.1-schnell, whose transformer is told of no guidance.
SCHNELL: Mapping[str, Any] = {
    "model_hash": "57b02550baab820169365b3ee3afa2c9",
    "model_name": "flux_dit",
    "model_class": "diffsynth.models.flux_dit.FluxDiT",
    "extra_kwargs": {"disable_guidance_embedder": True},
    "state_dict_converter": "diffsynth.utils.state_dict_converters.flux_dit.FluxDiTStateDictConverter",
}

TYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}

BytesRead = Callable[[int], None]


def load_models(
    paths: Path | Sequence[Path],
    *,
    dtype: torch.dtype,
    read: BytesRead,
    left: BytesRead = lambda _: None,
    part: PartName | None = None,
    looked_through: bool = False,
) -> dict[str, nn.Module]:
    """Every model in the checkpoint, or in one part of it, by DiffSynth's name, on the CPU, in float8 or `dtype`.

    Several paths are the shards of one checkpoint; one may be their index, or their folder. `read` is told of each
    tensor's bytes when it has found its place in a model, and may raise. A tensor the file has in its final type stays
    there, mapped: before, `left` is told of it, for it is yet to be read. With `looked_through`, it is known to be of
    numbers. Raises ModelUnusable.
    """
    checkpoint = Checkpoint(paths, part)
    told = 0

    def placed(incoming: Incoming, result: Tensor) -> None:
        nonlocal told
        told += incoming.nbytes
        checkpoint.let_go(incoming)
        if is_mapped(result):
            left(incoming.nbytes)
        read(incoming.nbytes)

    def check(incoming: Incoming, result: Tensor, scale: Tensor | None) -> None:
        skipped = looked_through and is_mapped(result)
        if not skipped and not incoming.are_numbers(result, scale, between=lambda: read(0)):
            raise ModelUnusable("numbers", checkpoint.name, found=incoming.label)

    models = {str(entry["model_name"]): _build(checkpoint, entry, dtype, check, placed) for entry in checkpoint.entries}
    # Scales, and what no model has a place for.
    read(checkpoint.bytes - told)
    return models


class Checkpoint:
    """One file, or the shards of one: where each tensor is, and the entries of DiffSynth's list for what is in it.

    A file that was converted (see `conversion.py`) says which entry its source had; its names are the model's already.
    """

    def __init__(self, paths: Path | Sequence[Path], part: PartName | None = None) -> None:
        """Of one part, or of all that are there. Raises ModelUnusable."""
        self.files = [CheckpointFile(path) for path in source_files(paths, part)]
        self.name = self.files[0].path.name
        self._file_of = {name: file for file in self.files for name in file.contents}
        self._note = self.files[0].metadata if CONVERTED in self.files[0].metadata else None
        if self._note is not None:
            if self._note[CONVERTED] != CONVERTED_VERSION:
                raise ModelUnusable("unknown", self.name)
            (contents,) = (file.contents for file in self.files)
            self.bytes = sum(tensor.bytes for tensor in contents.values())
            self.is_joined = self.is_shared = False
            self.model_hash = self._note["model_hash"]
            self._sources: dict[str, Mapping[str, Source]] = {self.model_hash: _as_they_are(contents)}
        else:
            found = parts_in([file.path for file in self.files])
            parts = tuple(each for each in found if part in (None, each.name))
            if not parts:
                raise ModelUnusable("part", self.name, found=", ".join(each.name for each in found))
            self.is_shared = len(found) > 1
            self.bytes = sum(each.bytes for each in parts)
            self.is_joined = any(len(source.names) > 1 for each in parts for source in each.sources.values())
            self._sources = {model_hash(each.sources): each.sources for each in parts}
            self.model_hash = next(iter(self._sources))
        known = {name for names in MODEL_NAMES.values() for name in names}
        entries: tuple[Mapping[str, Any], ...] = (*MODEL_CONFIGS, SCHNELL)
        self.entries = [
            entry for entry in entries if entry["model_hash"] in self._sources and entry["model_name"] in known
        ]
        if not self.entries:
            raise ModelUnusable("unknown", self.name)

    @property
    def wide_bytes(self) -> int:
        """Of what is in a wider type than float8."""
        names = {name for sources in self._sources.values() for source in sources.values() for name in source.names}
        return sum(self._about(name).bytes for name in names if TYPES[self._about(name).dtype].itemsize > 1)

    def incoming(self, entry: Mapping[str, Any], model: nn.Module) -> tuple[list[Incoming], dict[str, str]]:
        """What goes into the model made of `entry`; and names that mean the same tensor as another name."""
        known = model.state_dict().keys()
        first_name: dict[str, str] = {}
        aliases: dict[str, str] = {}
        incoming: list[Incoming] = []
        sources = self._sources[entry["model_hash"]]
        for name, (theirs, shape) in self._renamed(entry, sources).items():
            if name not in known:
                raise ModelUnusable("unknown", self.name)
            first = first_name.setdefault(theirs, name)
            if first != name:
                aliases[name] = first
                continue
            source = sources[theirs]
            pieces = [self._about(each) for each in source.names]
            dtypes = tuple(TYPES[piece.dtype] for piece in pieces)
            incoming.append(
                Incoming(
                    name=name,
                    label=source.names[0],
                    take=partial(self._take, source.names),
                    dtypes=dtypes,
                    nbytes=sum(piece.bytes for piece in pieces),
                    scales=tuple(map(self._scale, source.scales, pieces)),
                    shape=shape,
                    turned=source.turned,
                    is_float8=_is_to_be_float8(model, str(entry["model_name"]), name, dtypes),
                )
            )
        return incoming, aliases

    def let_go(self, incoming: Incoming) -> None:
        """See MappedFile."""
        for file in self.files:
            for piece in incoming.pieces:
                file.let_go(piece)

    def _about(self, name: str) -> TensorInfo:
        return self._file_of[name].contents[name]

    def _take(self, names: Sequence[str]) -> tuple[Tensor, ...]:
        return tuple(self._file_of[name].tensor(name) for name in names)

    def _scale(self, name: str | None, piece: TensorInfo) -> Tensor | None:
        if name is None:
            return None
        scale = self._file_of[name].tensor(name)
        if scale.numel() not in (1, piece.shape[0]) or not scale.is_floating_point():
            raise ModelUnusable("damaged", self.name)
        if not all_numbers(scale):
            raise ModelUnusable("numbers", self.name, found=name)
        return scale

    def _renamed(
        self, entry: Mapping[str, Any], sources: Mapping[str, Source]
    ) -> dict[str, tuple[str, tuple[int, ...]]]:
        """By DiffSynth's names: the makers' name of each tensor, and the shape it has in the model."""
        if self._note is not None:
            own: dict[str, tuple[str, tuple[int, ...]]] = {name: (name, each.shape) for name, each in sources.items()}
            aliases: dict[str, str] = json.loads(self._note["aliases"])
            return own | {name: own[first] for name, first in aliases.items() if first in own}
        names = list(sources)
        # Its converters rename tensors, and change shapes. These take no memory, and say which one each is.
        numbered = {name: torch.tensor(number).expand(sources[name].shape) for number, name in enumerate(names)}
        converter = _found(entry["state_dict_converter"]) if "state_dict_converter" in entry else dict
        renamed: dict[str, Tensor] = converter(numbered)
        return {name: (names[int(tensor[(0,) * tensor.ndim])], tuple(tensor.shape)) for name, tensor in renamed.items()}


def source_files(paths: Path | Sequence[Path], part: PartName | None = None) -> tuple[Path, ...]:
    """Raises ModelUnusable."""
    return files_of(paths, part) if isinstance(paths, Path) else tuple(paths)


def parts_in(files: Sequence[Path]) -> tuple[RecognisedPart, ...]:
    """Raises ModelUnusable."""
    return tuple(each for each, _ in parts_of(contents_of(files)))


def _as_they_are(tensors: Mapping[str, TensorInfo]) -> dict[str, Source]:
    """By names that are those of the model."""
    found: dict[str, Source] = {}
    for name, tensor in tensors.items():
        if not name.endswith(SCALE_SUFFIX):
            scale = name.removesuffix(WEIGHT_SUFFIX) + SCALE_SUFFIX
            scales = (scale if scale in tensors else None,)
            found[name] = Source(names=(name,), scales=scales, shape=tensor.shape, turned=False)
    return found


def model_hash(tensors: Mapping[str, Source] | Mapping[str, Tensor]) -> str:
    """DiffSynth's hash of names and shapes, by which `MODEL_CONFIGS` lists the files it knows."""
    names = convert_keys_dict_to_single_str({name: list(tensor.shape) for name, tensor in tensors.items()})
    return hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()


class CheckpointFile:
    """A safetensors file whose tensors are views into the mapped file: no memory is taken until one is read.

    safetensors' own tensors are mapped too (0.8, seen in /proc/self/maps), but privately and writable: Linux counts
    such a mapping as memory, and refuses it for a file larger than the machine's RAM. This mapping can only be read.
    """

    def __init__(self, path: Path) -> None:
        """Raises ModelUnusable."""
        self.path = path
        header = read_header(path)
        self.metadata = header.metadata
        self.contents = header.tensors
        if any(tensor.dtype not in TYPES for tensor in header.tensors.values()):
            raise ModelUnusable("unknown", path.name)
        try:
            self._mapping = MappedFile(path)
        except OSError as error:
            raise ModelUnusable("damaged", path.name) from error
        self._bytes = self._mapping.content()

    def tensors(self) -> dict[str, Tensor]:
        return {name: self.tensor(name) for name in self.contents}

    def tensor(self, name: str) -> Tensor:
        about = self.contents[name]
        dtype = TYPES[about.dtype]
        part = self._bytes[about.start : about.start + about.bytes]
        # Older writers did not align; a view of another type has to be.
        part = part if part.storage_offset() % dtype.itemsize == 0 else part.clone()
        return part.view(dtype).view(about.shape)

    def let_go(self, tensor: Tensor) -> None:
        """See MappedFile."""
        self._mapping.let_go(tensor)


def skeleton(entry: Mapping[str, Any]) -> nn.Module:
    """The model of an entry of DiffSynth's list, without weights."""
    with skip_model_initialization():
        model: nn.Module = _found(entry["model_class"])(**entry.get("extra_kwargs", {}))
    return model


def running_order(model_name: str, model: nn.Module, parts: Sequence[Incoming]) -> list[Incoming]:
    """What is outside the blocks, then block after block as they run, each laid out as `resting.Unit` lays it out."""
    number = {name: place for place, name in enumerate(model.state_dict())}
    buffers = {part.layer for part in parts if part.is_float8}

    def key(part: Incoming) -> tuple[int, int, bool, int]:
        layer = part.name.rpartition(".")[0]
        for place, prefix in enumerate(BLOCKS[model_name]):
            if part.name.startswith(prefix):
                return place, int(part.name.removeprefix(prefix).split(".")[0]), layer in buffers, number[part.name]
        return -1, 0, False, number[part.name]

    return sorted(parts, key=key)


def _build(
    checkpoint: Checkpoint,
    entry: Mapping[str, Any],
    dtype: torch.dtype,
    check: Callable[[Incoming, Tensor, Tensor | None], None],
    placed: Callable[[Incoming, Tensor], None],
) -> nn.Module:
    """One tensor after the other becomes what it will be: beside the model there is never more than a part of one."""
    model = skeleton(entry)
    parts, aliases = checkpoint.incoming(entry, model)
    state: dict[str, Tensor] = {}
    parts.reverse()
    while parts:
        # What is made of several tensors is let go of once it has found its place.
        part = parts.pop()
        layer = _put_float8(model, part) if part.is_float8 else None
        result = layer.stored if layer else part.plain(dtype)
        check(part, result, layer.scale if layer else None)
        if layer:
            state |= {f"{part.layer}.stored": layer.stored, f"{part.layer}.scale": layer.scale}
        else:
            state[part.name] = result
        placed(part, result)
    for name, first in aliases.items():
        # T5's table of words has two names. As one parameter it stays one, wherever it is moved.
        state[name] = state[first] = nn.Parameter(state[first], requires_grad=False)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ModelUnusable("damaged", checkpoint.name) from error
    return model.eval().requires_grad_(False)


def _is_to_be_float8(model: nn.Module, model_name: str, name: str, dtypes: Sequence[torch.dtype]) -> bool:
    if not (name.endswith(WEIGHT_SUFFIX) and dtypes[0].is_floating_point):
        return False
    if not isinstance(model.get_submodule(name.removesuffix(WEIGHT_SUFFIX)), nn.Linear):
        return False
    return name.startswith(BLOCKS[model_name]) if model_name in BLOCKS else set(dtypes) == {STORED}


def _put_float8(model: nn.Module, part: Incoming) -> Float8Linear:
    """Put a Float8Linear where the Linear was."""
    linear = model.get_submodule(part.layer)
    bias = torch.empty(part.shape[0]) if getattr(linear, "bias", None) is not None else None
    layer = Float8Linear(*part.quantized(), bias)
    parent, _, last = part.layer.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return layer


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
