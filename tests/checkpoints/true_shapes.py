"""What files of FLUX.1 have in them, at its true shapes, in each layout they are passed on in: names, types, shapes."""

from collections.abc import Iterator
from dataclasses import replace

from darkroom.architecture import FLUX1, Architecture
from darkroom.checkpoints.parts import PartName, shapes_of
from darkroom.checkpoints.sources import diffusers_names
from tests.checkpoints.sparse import Fields

SCHNELL = replace(FLUX1, guidance=False)


def native(part: PartName = "transformer", architecture: Architecture = FLUX1, dtype: str = "BF16") -> Fields:
    return {name: (dtype, shape) for name, shape in shapes_of(part, architecture).items()}


def below(prefix: str, fields: Fields) -> Fields:
    return {prefix + name: field for name, field in fields.items()}


def diffusers(part: PartName = "transformer", architecture: Architecture = FLUX1, dtype: str = "BF16") -> Fields:
    return dict(_diffusers(part, architecture, dtype))


def _diffusers(
    part: PartName, architecture: Architecture, dtype: str
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    for name, shape in shapes_of(part, architecture).items():
        theirs = diffusers_names(part, name)
        for number, each in enumerate(theirs):
            if len(theirs) > 1:
                # Of query, key, value and what comes after the block's attention, only the last is wider.
                rows = architecture.width if number < 3 else shape[0] - 3 * architecture.width
                yield each, (dtype, (rows, *shape[1:]))
            else:
                yield each, (dtype, shape[:2] if ".attentions." in each else shape)


def scaled(fields: Fields, *, suffix: str = ".scale_weight") -> Fields:
    """Weights of layers in float8, each with its scale; what else a tool writes beside them."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, (dtype, shape) in fields.items():
        is_layer = name.endswith(".weight") and len(shape) == 2
        found[name] = ("F8_E4M3" if is_layer else dtype, shape)
        if is_layer:
            layer = name.removesuffix(".weight")
            found |= {layer + suffix: ("F32", ()), layer + suffix.replace("weight", "input"): ("F32", ())}
    return found | {"scaled_fp8": ("F8_E4M3", (2,))}


def all_in_one(architecture: Architecture = FLUX1, dtype: str = "F8_E4M3") -> Fields:
    """As ComfyUI saves a model with its text encoders and its VAE."""
    return {
        **below("model.diffusion_model.", native("transformer", architecture, dtype)),
        **below("text_encoders.clip_l.transformer.", native("text_encoder_1", architecture, "F16")),
        "text_encoders.clip_l.logit_scale": ("F32", ()),
        "text_encoders.clip_l.transformer.text_projection.weight": ("F16", (768, 768)),
        "text_encoders.clip_l.transformer.text_model.embeddings.position_ids": ("I64", (1, 77)),
        **below("text_encoders.t5xxl.transformer.", native("text_encoder_2", architecture, "F8_E4M3")),
        "text_encoders.t5xxl.logit_scale": ("F32", ()),
        **below("vae.", native("vae", architecture, "F32")),
    }
