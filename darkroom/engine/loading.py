"""Checkpoints in: safetensors files become DiffSynth models whose blocks hold scaled float8 weights.

A checkpoint is recognised by its tensors, through DiffSynth's own list. Must not know: requests, steps or pictures.
"""

import hashlib
import importlib
import math
import mmap
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
    files = [CheckpointFile(path) for path in ([paths] if isinstance(paths, Path) else paths)]
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= file.tensors()
    total = sum(tensor.nbytes for tensor in tensors.values())
    scales = {name: tensors.pop(name) for name in list(tensors) if name.endswith(SCALE_SUFFIX)}
    entries = _recognise(tensors)
    if not entries:
        raise ModelUnusable("unknown", files[0].path.name)
    scale_of = {
        id(tensors[name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX]): scale
        for name, scale in scales.items()
        if name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX in tensors
    }
    told = 0

    def placed(source: Tensor) -> None:
        nonlocal told
        told += source.nbytes
        for file in files:
            file.let_go(source)
        read(source.nbytes)

    models = {str(entry["model_name"]): _build(entry, tensors, scale_of, dtype, placed) for entry in entries}
    # Scales, and what no model has a place for.
    read(total - told)
    return models


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


def _recognise(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    wanted = model_hash(tensors)
    return [entry for entry in MODEL_CONFIGS if entry["model_hash"] == wanted]


def _build(
    entry: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    scale_of: Mapping[int, Tensor],
    dtype: torch.dtype,
    placed: Callable[[Tensor], None],
) -> nn.Module:
    """One tensor after the other becomes what it will be: beside the model there is never more than a part of one."""
    converter = _found(entry["state_dict_converter"]) if "state_dict_converter" in entry else dict
    renamed: dict[str, Tensor] = converter(tensors)
    with skip_model_initialization():
        model: nn.Module = _found(entry["model_class"])(**entry.get("extra_kwargs", {}))
    state: dict[str, Tensor] = {}
    first_name: dict[int, str] = {}
    for name, tensor in renamed.items():
        first = first_name.setdefault(id(tensor), name)
        if first != name:
            # T5's table of words has two names. As one parameter it stays one, wherever it is moved.
            state[name] = state[first] = nn.Parameter(state[first], requires_grad=False)
            continue
        scale = scale_of.get(id(tensor))
        if _is_to_be_float8(model, str(entry["model_name"]), name, tensor):
            layer_name = name.removesuffix(WEIGHT_SUFFIX)
            layer = _put_float8(model, layer_name, tensor, scale)
            state |= {f"{layer_name}.stored": layer.stored, f"{layer_name}.scale": layer.scale}
        else:
            state[name] = _unscaled(tensor, scale).to(dtype) if tensor.is_floating_point() else tensor
        placed(tensor)
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def _is_to_be_float8(model: nn.Module, model_name: str, name: str, tensor: Tensor) -> bool:
    if not (name.endswith(WEIGHT_SUFFIX) and tensor.is_floating_point()):
        return False
    if not isinstance(model.get_submodule(name.removesuffix(WEIGHT_SUFFIX)), nn.Linear):
        return False
    return name.startswith(BLOCKS[model_name]) if model_name in BLOCKS else tensor.dtype == STORED


def _put_float8(model: nn.Module, name: str, weight: Tensor, scale: Tensor | None) -> Float8Linear:
    """Put a Float8Linear where the Linear was. A float8 file without a scale is a plain cast: its scale is 1."""
    if weight.dtype == STORED:
        stored, scale = weight, torch.ones(()) if scale is None else scale
    else:
        stored, scale = quantize(_unscaled(weight, scale))
    linear = model.get_submodule(name)
    bias = torch.empty(weight.shape[0]) if getattr(linear, "bias", None) is not None else None
    layer = Float8Linear(stored, scale, bias)
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return layer


def _unscaled(tensor: Tensor, scale: Tensor | None) -> Tensor:
    wide = tensor.float() if tensor.itemsize == 1 else tensor
    return wide if scale is None else wide * scale


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
