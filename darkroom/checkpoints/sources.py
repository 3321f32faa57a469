"""Where a file keeps each tensor of a part: the layouts FLUX.1's weights are passed on in, told in their makers' names.

Must not know: how a tensor is read, or what a file without these parts may be.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from darkroom.checkpoints.header import TensorInfo
from darkroom.checkpoints.parts import PartName, Shapes

Naming = Literal["native", "diffusers"]
WEIGHT = ".weight"
# What tools call the scale of a float8 weight.
SCALES = (".scale_weight", ".weight_scale")
# What stands beside weights and does not change what they do here.
BESIDE = re.compile(
    r".*(\.scale_input|\.input_scale|\.comfy_quant|scaled_fp8|spiece_model|embed_tokens\.weight|position_ids)"
)

# A tensor that every file of a part has, in each naming. What stands before it is the part's prefix.
MARKS: tuple[tuple[PartName, Naming, str], ...] = (
    ("transformer", "native", "double_blocks.0.img_attn.qkv.weight"),
    ("transformer", "diffusers", "transformer_blocks.0.attn.add_q_proj.weight"),
    ("text_encoder_1", "native", "text_model.embeddings.token_embedding.weight"),
    ("text_encoder_2", "native", "encoder.block.0.layer.0.SelfAttention.q.weight"),
    ("vae", "native", "encoder.down.0.block.0.conv1.weight"),
    ("vae", "diffusers", "encoder.down_blocks.0.resnets.0.conv1.weight"),
)

_TRANSFORMER: Mapping[str, tuple[str, ...]] = {
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "final_layer.linear": ("proj_out",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
}
_JOINT: Mapping[str, tuple[str, ...]] = {
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
}
_SINGLE: Mapping[str, tuple[str, ...]] = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
    "norm.query_norm": ("attn.norm_q",),
    "norm.key_norm": ("attn.norm_k",),
}
# In turn, on the whole name.
_VAE: tuple[tuple[str, str], ...] = (
    (r"\.down\.(\d)\.block\.", r".down_blocks.\1.resnets."),
    (r"\.down\.(\d)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.up\.0\.", ".up_blocks.3."),
    (r"\.up\.1\.", ".up_blocks.2."),
    (r"\.up\.2\.", ".up_blocks.1."),
    (r"\.up\.3\.", ".up_blocks.0."),
    (r"(up_blocks\.\d)\.block\.", r"\1.resnets."),
    (r"\.upsample\.", ".upsamplers.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"coder\.norm_out\.", "coder.conv_norm_out."),
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One tensor of a part: `names` of the file, one below the other. With `turned`, its lower half is the upper one.

    `scales` are the names of the scales of float8 weights, one for each of `names`, where they have any.
    """

    names: tuple[str, ...]
    scales: tuple[str | None, ...]
    shape: tuple[int, ...]
    turned: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """A part as it lies in a file: by its makers' names, where each tensor is."""

    part: PartName
    naming: Naming
    prefix: str
    sources: Mapping[str, Source]

    def names(self) -> Iterator[str]:
        """Of the file, with the scales."""
        for source in self.sources.values():
            yield from source.names
            yield from (scale for scale in source.scales if scale is not None)


def places_of(tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[PartName, Naming, str]]:
    """Each part that seems to be in the file, how it is named there, and what stands before its names."""
    for name in tensors:
        for part, naming, mark in MARKS:
            if name == mark or name.endswith(f".{mark}"):
                yield part, naming, name.removesuffix(mark)


def find(
    part: PartName, naming: Naming, prefix: str, shapes: Shapes, tensors: Mapping[str, TensorInfo]
) -> Found | None:
    """The part, if all of it is there in these shapes, and beside it nothing that would count: one more block, say."""
    sources: dict[str, Source] = {}
    for name, shape in shapes.items():
        theirs = _named(part, naming, name, tensors, prefix)
        if not _is_there(theirs, shape, tensors):
            return None
        scales = tuple(_scale_of(each, tensors) for each in theirs)
        turned = naming == "diffusers" and name.startswith("final_layer.adaLN_modulation.1.")
        sources[name] = Source(names=theirs, scales=scales, shape=shape, turned=turned)
    found = Found(part=part, naming=naming, prefix=prefix, sources=sources)
    used = set(found.names())
    roots = {name.removeprefix(prefix).split(".")[0] for name in used}
    more = (name.removeprefix(prefix) for name in tensors if name.startswith(prefix) and name not in used)
    return None if any(name.split(".")[0] in roots and not BESIDE.fullmatch(name) for name in more) else found


def _named(
    part: PartName, naming: Naming, name: str, tensors: Mapping[str, TensorInfo], prefix: str
) -> tuple[str, ...]:
    if naming == "diffusers":
        theirs = diffusers_names(part, name)
    elif name == "shared.weight" and prefix + name not in tensors:
        # A table with two names, of which some tools keep the other.
        theirs = ("encoder.embed_tokens.weight",)
    else:
        theirs = (name,)
    return tuple(prefix + each for each in theirs)


def diffusers_names(part: PartName, name: str) -> tuple[str, ...]:
    """What diffusers calls a tensor, or the pieces of one from top to bottom."""
    return _in_diffusers_vae(name) if part == "vae" else _in_diffusers_transformer(name)


def _in_diffusers_transformer(name: str) -> tuple[str, ...]:
    layer, _, kind = name.rpartition(".")
    root, _, rest = layer.partition(".")
    # Norms have a scale there, a weight here.
    ending = "weight" if kind == "scale" else kind
    if root not in ("double_blocks", "single_blocks"):
        return tuple(f"{each}.{ending}" for each in _TRANSFORMER[layer])
    number, _, inner = rest.partition(".")
    theirs = _JOINT[inner] if root == "double_blocks" else _SINGLE[inner]
    blocks = "transformer_blocks" if root == "double_blocks" else "single_transformer_blocks"
    return tuple(f"{blocks}.{number}.{each}.{ending}" for each in theirs)


def _in_diffusers_vae(name: str) -> tuple[str, ...]:
    for ours, theirs in _VAE:
        name = re.sub(ours, theirs, name)
    return (name,)


def _is_there(names: tuple[str, ...], shape: tuple[int, ...], tensors: Mapping[str, TensorInfo]) -> bool:
    found = [tensors[name].shape for name in names if name in tensors]
    if len(found) != len(names):
        return False
    if len(found) == 1:
        # A layer of one pixel may be written with or without its sides; a table with a first side of 1.
        return math.prod(found[0]) == math.prod(shape) and _without_ones(found[0]) == _without_ones(shape)
    return sum(each[0] for each in found if each) == shape[0] and all(each[1:] == shape[1:] for each in found)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


def _scale_of(name: str, tensors: Mapping[str, TensorInfo]) -> str | None:
    if not name.endswith(WEIGHT):
        return None
    scales = (name.removesuffix(WEIGHT) + suffix for suffix in SCALES)
    return next((scale for scale in scales if scale in tensors), None)
