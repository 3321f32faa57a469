"""The demo's weights in every layout that FLUX.1's are passed on in. Each function writes files, and says where.

What diffusers names and cuts up is written out here a second time, so that a mistake in one place is seen.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from darkroom.catalog import DEMO, ModelEntry, ModelFiles

MODELS = Path(__file__).parents[2] / "models"
FILES: Mapping[str, PurePosixPath] = {
    "transformer": DEMO.files.transformer,
    "text_encoder_1": DEMO.files.text_encoder_1,
    "text_encoder_2": DEMO.files.text_encoder_2,
    "vae": DEMO.files.vae,
}
SCALE, WEIGHT = ".scale_weight", ".weight"
Tensors = dict[str, Tensor]


def shipped(part: str) -> Tensors:
    tensors: Tensors = load_file(MODELS / FILES[part])
    return tensors


def wide(part: str, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    """As it would be had it never been float8."""
    return dict(_wide(shipped(part), dtype))


def _wide(tensors: Tensors, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if not name.endswith(SCALE):
            scale = tensors.get(name.removesuffix(WEIGHT) + SCALE, torch.ones(()))
            yield name, (tensor.float() * scale).to(dtype)


def without_guidance(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("guidance_in.")}


def below(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def renamed_scales(tensors: Tensors) -> Tensors:
    """As today's ComfyUI writes them, with its notes."""
    found = {name.replace(SCALE, ".weight_scale"): tensor for name, tensor in tensors.items()}
    note = torch.frombuffer(bytearray(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    for name in tensors:
        if name.endswith(SCALE):
            layer = name.removesuffix(SCALE)
            found |= {layer + ".input_scale": torch.ones(()), layer + ".comfy_quant": note.clone()}
    return found


def comfy_scaled(tensors: Tensors) -> Tensors:
    inputs = {name.replace(SCALE, ".scale_input"): torch.ones(1) for name in tensors if name.endswith(SCALE)}
    return {**tensors, **inputs, "scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}


def all_in_one(parts: Mapping[str, Tensors]) -> Tensors:
    return {
        **below("model.diffusion_model.", parts["transformer"]),
        **below("text_encoders.clip_l.transformer.", parts["text_encoder_1"]),
        "text_encoders.clip_l.transformer.text_projection.weight": torch.eye(8),
        "text_encoders.clip_l.logit_scale": torch.ones(()),
        **below("text_encoders.t5xxl.transformer.", parts["text_encoder_2"]),
        "text_encoders.t5xxl.logit_scale": torch.ones(()),
        **below("vae.", parts["vae"]),
    }


def diffusers_transformer(tensors: Tensors) -> Tensors:
    found: Tensors = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        for theirs, piece in _diffusers_layer(layer, tensor):
            found[f"{theirs}.{'weight' if kind == 'scale' else kind}"] = piece.clone()
    return found


_OUTER = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in": "time_text_embed.timestep_embedder",
    "vector_in": "time_text_embed.text_embedder",
    "guidance_in": "time_text_embed.guidance_embedder",
    "final_layer.linear": "proj_out",
}
_IN_BLOCKS = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "linear2": "proj_out",
    "modulation.lin": "norm.linear",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
_CUT_UP = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}


def _diffusers_layer(layer: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if layer == "final_layer.adaLN_modulation.1":
        # It has the scale first, and then the shift.
        shift, scale = tensor.chunk(2) if tensor.ndim else (tensor, tensor)
        yield "norm_out.linear", torch.cat((scale, shift)) if tensor.ndim else tensor
    elif layer.startswith(("double_blocks.", "single_blocks.")):
        root, number, inner = layer.split(".", 2)
        block = f"{'single_' if root == 'single_blocks' else ''}transformer_blocks.{number}."
        if inner in _CUT_UP:
            theirs = _CUT_UP[inner]
            width = DEMO.architecture.width
            # A scale, which has no rows, is that of each piece.
            rows = [width] * 3 + [len(tensor) - 3 * width] * (len(theirs) - 3) if tensor.ndim else []
            pieces = torch.split(tensor, rows) if rows else [tensor] * len(theirs)
            yield from ((block + name, piece) for name, piece in zip(theirs, pieces, strict=True))
        else:
            yield block + _IN_BLOCKS[inner], tensor
    else:
        outer, _, inner = layer.rpartition(".")
        name = _OUTER.get(layer) or f"{_OUTER[outer]}.linear_{1 if inner == 'in_layer' else 2}"
        yield name, tensor


def diffusers_vae(tensors: Tensors) -> Tensors:
    found: Tensors = {}
    for name, tensor in tensors.items():
        side, rest = name.split(".", 1)
        if rest.startswith(("down.", "up.")):
            kind, level, rest = rest.split(".", 2)
            level = level if kind == "down" else str(3 - int(level))
            rest = rest.replace("block.", "resnets.").replace("sample.", "samplers.0.").replace("nin_", "conv_")
            rest = f"{kind}_blocks.{level}.{rest}"
        elif rest.startswith("mid.attn_1"):
            rest = rest.replace("mid.attn_1", "mid_block.attentions.0").replace("norm", "group_norm")
            for ours, theirs in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
                rest = rest.replace(f".0.{ours}.", f".0.{theirs}.")
            tensor = tensor.flatten(1) if tensor.ndim > 1 else tensor
        else:
            rest = rest.replace("mid.block_1", "mid_block.resnets.0").replace("mid.block_2", "mid_block.resnets.1")
            rest = rest.replace("norm_out", "conv_norm_out")
        found[f"{side}.{rest}"] = tensor.clone()
    return found


def save(path: Path, tensors: Tensors) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def save_shards(folder: Path, tensors: Tensors, count: int, stem: str = "diffusion_pytorch_model") -> Path:
    """Neighbours fall into different shards."""
    names = sorted(tensors)
    files = [f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for number, file in enumerate(files):
        save(folder / file, {name: tensors[name] for name in names[number::count]})
    weight_map = {name: files[place % count] for place, name in enumerate(names)}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def save_pipeline(folder: Path, parts: Mapping[str, Tensors]) -> Path:
    save_shards(folder / "transformer", diffusers_transformer(parts["transformer"]), 3)
    save(folder / "text_encoder" / "model.safetensors", parts["text_encoder_1"])
    save_shards(folder / "text_encoder_2", parts["text_encoder_2"], 2, "model")
    save(folder / "vae" / "diffusion_pytorch_model.safetensors", diffusers_vae(parts["vae"]))
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    return folder


def entry(**files: Path) -> ModelEntry:
    """The demo, with some parts from other files."""
    changed: dict[str, PurePosixPath] = {name: PurePosixPath(path.as_posix()) for name, path in files.items()}
    theirs: ModelFiles = replace(DEMO.files, **changed)
    return replace(DEMO, files=theirs)


def entry_of_one(path: Path) -> ModelEntry:
    """All parts from one file or folder."""
    return entry(transformer=path, text_encoder_1=path, text_encoder_2=path, vae=path)
