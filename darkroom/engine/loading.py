"""Checkpoints in: safetensors files become DiffSynth models whose blocks hold scaled float8 weights.

A checkpoint is recognised by its tensors, through DiffSynth's own list. Must not know: requests, steps or pictures.
"""

import hashlib
import importlib
import json
import math
import mmap
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import convert_keys_dict_to_single_str
from diffsynth.core.vram.initialization import skip_model_initialization
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from darkroom.engine.float8 import STORED, Float8Linear, quantize
from darkroom.errors import ModelUnusable

SCALE_SUFFIX = ".scale_weight"
WEIGHT_SUFFIX = ".weight"
# In the header of a file that `conversion.py` wrote: the version of its layout and of what `quantize` gives.
CONVERTED = "darkroom_float8"
CONVERTED_VERSION = "2"

# By DiffSynth's names: the Linear layers below these rest as float8, and all else of the model in the computation type.
# In a model that is not named here, float8 is what the file has as float8.
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "flux_dit": ("blocks.", "single_blocks."),
    "flux_text_encoder_t5": ("encoder.block.",),
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


def load_models(paths: Path | Sequence[Path], *, dtype: torch.dtype, read: BytesRead) -> dict[str, nn.Module]:
    """Every model in the checkpoint by DiffSynth's name for it, on the CPU, its weights in float8 or `dtype`.

    Several paths are the shards of one checkpoint. `read` is told of each tensor's bytes when it has found its place in
    a model, and may raise. A tensor the file has in its final type stays there, mapped. Raises ModelUnusable.
    """
    checkpoint = Checkpoint(paths)
    told = 0

    def placed(source: Tensor) -> None:
        nonlocal told
        told += source.nbytes
        checkpoint.let_go(source)
        read(source.nbytes)

    models = {str(entry["model_name"]): _build(checkpoint, entry, dtype, placed) for entry in checkpoint.entries}
    # Scales, and what no model has a place for.
    read(checkpoint.bytes - told)
    return models


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One tensor of a checkpoint on its way into a model. `name` is DiffSynth's for it there."""

    name: str
    tensor: Tensor
    scale: Tensor | None
    is_float8: bool

    @property
    def layer(self) -> str:
        return self.name.removesuffix(WEIGHT_SUFFIX)

    def quantized(self) -> tuple[Tensor, Tensor]:
        """As float8 and its scale. A float8 file without a scale is a plain cast: its scale is 1."""
        if self.tensor.dtype == STORED:
            return self.tensor, torch.ones(()) if self.scale is None else self.scale
        return quantize(self._unscaled())

    def plain(self, dtype: torch.dtype) -> Tensor:
        return self._unscaled().to(dtype) if self.tensor.is_floating_point() else self.tensor

    def _unscaled(self) -> Tensor:
        wide = self.tensor.float() if self.tensor.itemsize == 1 else self.tensor
        return wide if self.scale is None else wide * self.scale


class Checkpoint:
    """One file, or the shards of one: its tensors, and the entries of DiffSynth's list for the models in it.

    A file that was converted (see `conversion.py`) says which entry its source had; its names are the model's already.
    """

    def __init__(self, paths: Path | Sequence[Path]) -> None:
        """Raises ModelUnusable."""
        self.files = [CheckpointFile(path) for path in ([paths] if isinstance(paths, Path) else paths)]
        self.tensors: dict[str, Tensor] = {}
        for file in self.files:
            self.tensors |= file.tensors()
        self.bytes = sum(tensor.nbytes for tensor in self.tensors.values())
        scales = {name: self.tensors.pop(name) for name in list(self.tensors) if name.endswith(SCALE_SUFFIX)}
        self._scale_of = {
            id(self.tensors[name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX]): scale
            for name, scale in scales.items()
            if name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX in self.tensors
        }
        self._note = self.files[0].metadata if CONVERTED in self.files[0].metadata else None
        if self._note is not None and self._note[CONVERTED] != CONVERTED_VERSION:
            raise ModelUnusable("unknown", self.files[0].path.name)
        self.model_hash = model_hash(self.tensors) if self._note is None else self._note["model_hash"]
        self.entries = [entry for entry in MODEL_CONFIGS if entry["model_hash"] == self.model_hash]
        if not self.entries:
            raise ModelUnusable("unknown", self.files[0].path.name)

    def parts(self, entry: Mapping[str, Any], model: nn.Module) -> tuple[list[Part], dict[str, str]]:
        """What goes into the model made of `entry`; and names that mean the same tensor as another name."""
        known = model.state_dict().keys()
        first_name: dict[int, str] = {}
        aliases: dict[str, str] = {}
        parts: list[Part] = []
        for name, tensor in self._renamed(entry).items():
            if name not in known:
                raise ModelUnusable("unknown", self.files[0].path.name)
            first = first_name.setdefault(id(tensor), name)
            if first != name:
                aliases[name] = first
                continue
            is_float8 = _is_to_be_float8(model, str(entry["model_name"]), name, tensor)
            parts.append(Part(name=name, tensor=tensor, scale=self._scale_of.get(id(tensor)), is_float8=is_float8))
        return parts, aliases

    def let_go(self, tensor: Tensor) -> None:
        """See CheckpointFile."""
        for file in self.files:
            file.let_go(tensor)

    def _renamed(self, entry: Mapping[str, Any]) -> dict[str, Tensor]:
        if self._note is not None:
            aliases: dict[str, str] = json.loads(self._note["aliases"])
            known = {name: self.tensors[first] for name, first in aliases.items() if first in self.tensors}
            return self.tensors | known
        converter = _found(entry["state_dict_converter"]) if "state_dict_converter" in entry else dict
        renamed: dict[str, Tensor] = converter(self.tensors)
        return renamed


def model_hash(tensors: Mapping[str, Tensor]) -> str:
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
        try:
            # For numpy, safetensors maps nothing writable: it only checks the file and says what is in it.
            with safe_open(path, framework="np") as file:
                self.metadata: dict[str, str] = file.metadata() or {}
                slices = {name: file.get_slice(name) for name in file.offset_keys()}
                self._contents = {name: (TYPES[part.get_dtype()], part.get_shape()) for name, part in slices.items()}
            with path.open("rb") as opened:
                self._mapping = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise ModelUnusable("missing", path.name) from error
        except (SafetensorError, OSError) as error:
            raise ModelUnusable("damaged", path.name) from error
        except KeyError as error:
            raise ModelUnusable("unknown", path.name) from error
        with warnings.catch_warnings():
            # torch warns that it cannot keep anyone from writing here. Nothing does: weights are never changed.
            warnings.simplefilter("ignore", UserWarning)
            self._bytes = torch.frombuffer(self._mapping, dtype=torch.uint8)

    def tensors(self) -> dict[str, Tensor]:
        # The format has no holes and nothing after the last tensor.
        place = len(self._bytes) - sum(math.prod(shape) * dtype.itemsize for dtype, shape in self._contents.values())
        tensors: dict[str, Tensor] = {}
        for name, (dtype, shape) in self._contents.items():
            size = math.prod(shape) * dtype.itemsize
            part = self._bytes[place : place + size]
            # Older writers did not align; a view of another type has to be.
            part = part if part.storage_offset() % dtype.itemsize == 0 else part.clone()
            tensors[name] = part.view(dtype).view(shape)
            place += size
        return tensors

    def let_go(self, tensor: Tensor) -> None:
        """The tensor was read and will not be soon again: its pages in RAM may be used for something else."""
        start = tensor.data_ptr() - self._bytes.data_ptr()
        if not 0 <= start < len(self._bytes) or not hasattr(mmap, "MADV_DONTNEED"):
            return
        page = start - start % mmap.PAGESIZE
        with suppress(OSError):
            self._mapping.madvise(mmap.MADV_DONTNEED, page, start + tensor.nbytes - page)


def skeleton(entry: Mapping[str, Any]) -> nn.Module:
    """The model of an entry of DiffSynth's list, without weights."""
    with skip_model_initialization():
        model: nn.Module = _found(entry["model_class"])(**entry.get("extra_kwargs", {}))
    return model


def running_order(model_name: str, model: nn.Module, parts: Sequence[Part]) -> list[Part]:
    """What is outside the blocks, then block after block as they run, each laid out as `resting.Unit` lays it out."""
    number = {name: place for place, name in enumerate(model.state_dict())}
    buffers = {part.layer for part in parts if part.is_float8}

    def key(part: Part) -> tuple[int, int, bool, int]:
        layer = part.name.rpartition(".")[0]
        for place, prefix in enumerate(BLOCKS[model_name]):
            if part.name.startswith(prefix):
                return place, int(part.name.removeprefix(prefix).split(".")[0]), layer in buffers, number[part.name]
        return -1, 0, False, number[part.name]

    return sorted(parts, key=key)


def _build(
    checkpoint: Checkpoint, entry: Mapping[str, Any], dtype: torch.dtype, placed: Callable[[Tensor], None]
) -> nn.Module:
    """One tensor after the other becomes what it will be: beside the model there is never more than a part of one."""
    model = skeleton(entry)
    parts, aliases = checkpoint.parts(entry, model)
    state: dict[str, Tensor] = {}
    parts.reverse()
    while parts:
        # A converter may have made a tensor of several: it is let go of once it has found its place.
        part = parts.pop()
        if part.is_float8:
            layer = _put_float8(model, part)
            state |= {f"{part.layer}.stored": layer.stored, f"{part.layer}.scale": layer.scale}
        else:
            state[part.name] = part.plain(dtype)
        placed(part.tensor)
    for name, first in aliases.items():
        # T5's table of words has two names. As one parameter it stays one, wherever it is moved.
        state[name] = state[first] = nn.Parameter(state[first], requires_grad=False)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ModelUnusable("damaged", checkpoint.files[0].path.name) from error
    return model.eval().requires_grad_(False)


def _is_to_be_float8(model: nn.Module, model_name: str, name: str, tensor: Tensor) -> bool:
    if not (name.endswith(WEIGHT_SUFFIX) and tensor.is_floating_point()):
        return False
    if not isinstance(model.get_submodule(name.removesuffix(WEIGHT_SUFFIX)), nn.Linear):
        return False
    return name.startswith(BLOCKS[model_name]) if model_name in BLOCKS else tensor.dtype == STORED


def _put_float8(model: nn.Module, part: Part) -> Float8Linear:
    """Put a Float8Linear where the Linear was."""
    linear = model.get_submodule(part.layer)
    bias = torch.empty(part.tensor.shape[0]) if getattr(linear, "bias", None) is not None else None
    layer = Float8Linear(*part.quantized(), bias)
    parent, _, last = part.layer.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return layer


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
