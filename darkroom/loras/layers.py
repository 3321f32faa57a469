"""Which layer of a FLUX.1 transformer a tool means by a name, and how large that layer is.

Names are DiffSynth's; tools write FLUX.1's own, or diffusers'. Must not know: files, or what is done to a layer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from darkroom.architecture import TIME_CHANNELS, Architecture

# By name: inputs and outputs.
Sizes: TypeAlias = Mapping[str, tuple[int, int]]

# Tools put these before a layer's name, sometimes two of them; here with "_" for ".".
PREFIX = re.compile(r"(lora_(unet|transformer)|base_model_model|(model_)?diffusion_model|transformer|unet|pipe_dit)_")
KIND = "(?P<kind>(?:double|single|transformer|single_transformer)_blocks)"
BLOCK = re.compile(rf"{KIND}_(?P<number>\d+)_(?P<layer>.+)")
# Of layers outside the blocks: DiffSynth's name, FLUX.1's own, and diffusers'.
OUTER = (
    ("x_embedder", "img_in", "x_embedder"),
    ("context_embedder", "txt_in", "context_embedder"),
    ("time_embedder.timestep_embedder.0", "time_in_in_layer", "time_text_embed_timestep_embedder_linear_1"),
    ("time_embedder.timestep_embedder.2", "time_in_out_layer", "time_text_embed_timestep_embedder_linear_2"),
    ("guidance_embedder.timestep_embedder.0", "guidance_in_in_layer", "time_text_embed_guidance_embedder_linear_1"),
    ("guidance_embedder.timestep_embedder.2", "guidance_in_out_layer", "time_text_embed_guidance_embedder_linear_2"),
    ("pooled_text_embedder.0", "vector_in_in_layer", "time_text_embed_text_embedder_linear_1"),
    ("pooled_text_embedder.2", "vector_in_out_layer", "time_text_embed_text_embedder_linear_2"),
    ("final_norm_out.linear", "final_layer_adaLN_modulation_1", ""),
    ("final_proj_out", "final_layer_linear", "proj_out"),
)
GUIDANCE = "guidance_embedder."
# By the kind of block and a tool's name: ours, and where diffusers has several layers for one of ours, which of them.
# Each of those has as many rows as the layer has inputs, but for the last.
INNER: Mapping[str, tuple[str, Mapping[str, tuple[str, int | None]]]] = {
    "double_blocks": (
        "blocks",
        {
            "img_mod_lin": ("norm1_a.linear", None),
            "txt_mod_lin": ("norm1_b.linear", None),
            "img_attn_qkv": ("attn.a_to_qkv", None),
            "txt_attn_qkv": ("attn.b_to_qkv", None),
            "img_attn_proj": ("attn.a_to_out", None),
            "txt_attn_proj": ("attn.b_to_out", None),
            "img_mlp_0": ("ff_a.0", None),
            "img_mlp_2": ("ff_a.2", None),
            "txt_mlp_0": ("ff_b.0", None),
            "txt_mlp_2": ("ff_b.2", None),
        },
    ),
    "single_blocks": (
        "single_blocks",
        {
            "modulation_lin": ("norm.linear", None),
            "linear1": ("to_qkv_mlp", None),
            "linear2": ("proj_out", None),
        },
    ),
    "transformer_blocks": (
        "blocks",
        {
            "norm1_linear": ("norm1_a.linear", None),
            "norm1_context_linear": ("norm1_b.linear", None),
            "attn_to_q": ("attn.a_to_qkv", 0),
            "attn_to_k": ("attn.a_to_qkv", 1),
            "attn_to_v": ("attn.a_to_qkv", 2),
            "attn_add_q_proj": ("attn.b_to_qkv", 0),
            "attn_add_k_proj": ("attn.b_to_qkv", 1),
            "attn_add_v_proj": ("attn.b_to_qkv", 2),
            "attn_to_out_0": ("attn.a_to_out", None),
            "attn_to_add_out": ("attn.b_to_out", None),
            "ff_net_0_proj": ("ff_a.0", None),
            "ff_net_2": ("ff_a.2", None),
            "ff_context_net_0_proj": ("ff_b.0", None),
            "ff_context_net_2": ("ff_b.2", None),
        },
    ),
    "single_transformer_blocks": (
        "single_blocks",
        {
            "norm_linear": ("norm.linear", None),
            "attn_to_q": ("to_qkv_mlp", 0),
            "attn_to_k": ("to_qkv_mlp", 1),
            "attn_to_v": ("to_qkv_mlp", 2),
            "proj_mlp": ("to_qkv_mlp", 3),
            "proj_out": ("proj_out", None),
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A layer, or the rows of it from the `part`-th multiple of its inputs on. `halves`: its halves change places."""

    layer: str
    part: int | None = None
    halves: bool = False


class Layers:
    """The layers of one transformer."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        own = {name.replace(".", "_"): Place(layer=name) for name in sizes}
        outer = {name: Place(layer=ours) for ours, *theirs in OUTER for name in theirs if name}
        # There scale and shift are the other way round.
        self._outer = {**outer, **own, "norm_out_linear": Place(layer="final_norm_out.linear", halves=True)}

    def find(self, theirs: str) -> Place | None:
        """None where no FLUX.1 of whatever size has such a layer, or this one has fewer blocks."""
        name = theirs.replace(".", "_")
        while (place := self._find(name)) is None:
            if not (prefix := PREFIX.match(name)):
                return None
            name = name[prefix.end() :]
        return place if place.layer in self.sizes or place.layer.startswith(GUIDANCE) else None

    def is_left_out(self, place: Place) -> bool:
        """True for the layers of guidance in a model that knows none: what others have there counts for nothing."""
        return place.layer not in self.sizes

    def fits(self, place: Place, *, inputs: int, outputs: int) -> bool:
        """Whether a change of this size is one of that layer."""
        its_inputs, its_outputs = self.sizes[place.layer]
        rows = {None: its_outputs, 3: its_outputs - 3 * its_inputs}.get(place.part, its_inputs)
        return (inputs, outputs) == (its_inputs, rows)

    def _find(self, name: str) -> Place | None:
        if (place := self._outer.get(name)) is not None:
            return place
        if not (block := BLOCK.fullmatch(name)):
            return None
        kind, layers = INNER[block["kind"]]
        if block["layer"] not in layers:
            return None
        layer, part = layers[block["layer"]]
        return Place(layer=f"{kind}.{int(block['number'])}.{layer}", part=part)


def sizes_of(architecture: Architecture) -> Sizes:
    """Of every layer that a LoRA can change."""
    width, token = architecture.width, architecture.latent_channels * 4
    sizes = {
        "x_embedder": (token, width),
        "context_embedder": (architecture.t5.width, width),
        "pooled_text_embedder.0": (architecture.clip.width, width),
        "pooled_text_embedder.2": (width, width),
        "final_norm_out.linear": (width, 2 * width),
        "final_proj_out": (width, token),
    }
    for embedder in ("time_embedder", "guidance_embedder") if architecture.guidance else ("time_embedder",):
        sizes[f"{embedder}.timestep_embedder.0"] = (TIME_CHANNELS, width)
        sizes[f"{embedder}.timestep_embedder.2"] = (width, width)
    for number in range(architecture.joint_blocks):
        block = f"blocks.{number}"
        for stream in "ab":
            sizes[f"{block}.norm1_{stream}.linear"] = (width, 6 * width)
            sizes[f"{block}.attn.{stream}_to_qkv"] = (width, 3 * width)
            sizes[f"{block}.attn.{stream}_to_out"] = (width, width)
            sizes[f"{block}.ff_{stream}.0"] = (width, 4 * width)
            sizes[f"{block}.ff_{stream}.2"] = (4 * width, width)
    for number in range(architecture.single_blocks):
        block = f"single_blocks.{number}"
        sizes[f"{block}.norm.linear"] = (width, 3 * width)
        sizes[f"{block}.to_qkv_mlp"] = (width, 7 * width)
        sizes[f"{block}.proj_out"] = (5 * width, width)
    return sizes
