"""Checkpoints in: a safetensors file becomes DiffSynth models that keep float8 weights as they are stored.

A file is recognised by its tensors, through DiffSynth's own list. Must not know: requests, steps or pictures.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import convert_keys_dict_to_single_str
from diffsynth.core.vram.initialization import skip_model_initialization
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from darkroom.engine.float8 import STORED, Float8Linear
from darkroom.errors import ModelUnusable

SCALE_SUFFIX = ".scale_weight"
WEIGHT_SUFFIX = ".weight"

BytesRead = Callable[[int], None]


def load_models(path: Path, *, dtype: torch.dtype, read: BytesRead) -> dict[str, nn.Module]:
    """Every model in the file by DiffSynth's name for it, on the CPU, its weights in float8 or `dtype`.

    `read` is told of each tensor's bytes as they come. Raises ModelUnusable.
    """
    tensors = _read_tensors(path, read)
    scales = {name: tensors.pop(name) for name in list(tensors) if name.endswith(SCALE_SUFFIX)}
    entries = _recognise(tensors)
    if not entries:
        raise ModelUnusable("unknown", path.name)
    scale_of = {
        id(tensors[name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX]): scale
        for name, scale in scales.items()
        if name.removesuffix(SCALE_SUFFIX) + WEIGHT_SUFFIX in tensors
    }
    return {str(entry["model_name"]): _build(entry, tensors, scale_of, dtype) for entry in entries}


def model_hash(tensors: Mapping[str, Tensor]) -> str:
    """DiffSynth's hash of names and shapes, by which `MODEL_CONFIGS` lists the files it knows."""
    names = convert_keys_dict_to_single_str({name: list(tensor.shape) for name, tensor in tensors.items()})
    return hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()


def _read_tensors(path: Path, read: BytesRead) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                tensors[name] = file.get_tensor(name)
                read(tensors[name].nbytes)
    except FileNotFoundError as error:
        raise ModelUnusable("missing", path.name) from error
    except (SafetensorError, OSError) as error:
        raise ModelUnusable("damaged", path.name) from error
    return tensors


def _recognise(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    wanted = model_hash(tensors)
    return [entry for entry in MODEL_CONFIGS if entry["model_hash"] == wanted]


def _build(
    entry: Mapping[str, Any], tensors: Mapping[str, Tensor], scale_of: Mapping[int, Tensor], dtype: torch.dtype
) -> nn.Module:
    converter = _found(entry["state_dict_converter"]) if "state_dict_converter" in entry else dict
    renamed: dict[str, Tensor] = converter(tensors)
    with skip_model_initialization():
        model: nn.Module = _found(entry["model_class"])(**entry.get("extra_kwargs", {}))
    state: dict[str, Tensor] = {}
    for name, tensor in renamed.items():
        if tensor.dtype == STORED and name.endswith(WEIGHT_SUFFIX):
            layer_name = name.removesuffix(WEIGHT_SUFFIX)
            layer = _put_float8(model, layer_name, tensor, scale_of.get(id(tensor)))
            state |= {f"{layer_name}.stored": layer.stored, f"{layer_name}.scale": layer.scale}
        else:
            state[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def _put_float8(model: nn.Module, name: str, weight: Tensor, scale: Tensor | None) -> Float8Linear:
    """Put a Float8Linear where the Linear was. A file without a scale is a plain cast: its scale is 1."""
    linear = model.get_submodule(name)
    bias = torch.empty(weight.shape[0]) if getattr(linear, "bias", None) is not None else None
    layer = Float8Linear(weight, torch.ones(()) if scale is None else scale, bias)
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return layer


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
