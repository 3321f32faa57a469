"""What a file is that holds no FLUX.1 this version can run, by names that only such files have. For saying it in words.

Must not know: how FLUX.1 is laid out, or what is done with the answer.
"""

import re
from collections.abc import Mapping

from darkroom.checkpoints.header import TensorInfo

LORA = re.compile(
    r".+\.(lora_(down|up|A|B|a|b)(\.\w+)?\.weight|lora_(A|B)|lora\.(down|up)\.weight|alpha|dora_scale|"
    r"lokr_\w+|hada_\w+|oft_\w+)"
)
CONTROLNET = "ControlNet"
# The first that has a name in the file, in turn. Names are what makers call themselves, in every language.
_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"controlnet_(x_embedder|blocks|single_blocks|mode_embedder)\b|input_hint_block\.", CONTROLNET),
    (r"double_stream_modulation_img\.", "FLUX.2"),
    (r"distilled_guidance_layer\.", "Chroma"),
    (r"txt_in\.individual_token_refiner\.|double_blocks\.0\.img_attn_qkv\.", "HunyuanVideo"),
    (r"joint_blocks\.0\.", "Stable Diffusion 3"),
    (r"transformer_blocks\.0\.(img_mod|txt_mod)\.1\.|(^|\.)txt_norm\.weight", "Qwen-Image"),
    (r"noise_refiner\.0\.|cap_embedder\.", "Z-Image, Lumina"),
    (r"double_stream_blocks\.0\.", "HiDream"),
    (r"(^|\.)blocks\.0\.cross_attn\.", "Wan"),
    (r"conditioner\.embedders\.|label_emb\.0\.|add_embedding\.linear_1\.", "Stable Diffusion XL"),
    (r"cond_stage_model\.model\.transformer\.resblocks", "Stable Diffusion 2"),
    (r"input_blocks\.0\.0\.weight|down_blocks\.0\.attentions\.0\.|cond_stage_model\.", "Stable Diffusion 1"),
    (r"double_blocks\.0\.|(^|\.)single_transformer_blocks\.0\.", "FLUX.1"),
    (r"(^|\.)transformer_blocks\.0\.norm1_context\.", "Stable Diffusion 3"),
    (r"text_model\.encoder\.layers\.|transformer\.resblocks\.0\.", "CLIP"),
    (r"encoder\.block\.0\.layer\.0\.SelfAttention\.", "T5"),
    (r"model\.layers\.0\.self_attn\.q_proj\.", "LLM"),
    (r"decoder\.(up\.0\.block|up_blocks\.0\.resnets|mid)\b", "VAE"),
)
# What may be by itself, and with models of any family.
_PARTS = ("FLUX.1", "CLIP", "T5", "LLM", "VAE")
_PACKED: tuple[tuple[str, str], ...] = (
    (r"\.(absmax|quant_map)$|quant_state\.bitsandbytes__nf4", "NF4 (bitsandbytes)"),
    (r"quant_state\.bitsandbytes__fp4", "FP4 (bitsandbytes)"),
    (r"\.(qweight|smooth_factor|wscales)$", "SVDQuant (Nunchaku)"),
    (r"\.weight_scale_2$", "NVFP4"),
    (r"\.weight_(packed|zero_point)$|\.qzeros$", "int4"),
    (r"\.SCB$", "int8 (bitsandbytes)"),
)
READABLE = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


def is_lora(tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether most of it belongs to low-rank matrices."""
    return bool(tensors) and 2 * sum(LORA.fullmatch(name) is not None for name in tensors) > len(tensors)


def family(tensors: Mapping[str, TensorInfo]) -> str | None:
    """A proper name, or None if it is like nothing that is known."""
    return _first(_FAMILIES, tensors)


def is_whole(tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether it is another family's model, and not only a part that several have."""
    return family(tensors) not in (None, *_PARTS)


def packed(tensors: Mapping[str, TensorInfo]) -> str | None:
    """How the weights are packed, where that is a way that is not read here."""
    marked = _first(_PACKED, tensors)
    if marked is not None:
        return marked
    weights: dict[str, int] = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight"):
            weights[tensor.dtype] = weights.get(tensor.dtype, 0) + tensor.bytes
    most = max(weights, key=weights.__getitem__, default=None)
    return None if most is None or most in READABLE else most


def _first(table: tuple[tuple[str, str], ...], tensors: Mapping[str, TensorInfo]) -> str | None:
    names = "\n".join(tensors)
    return next((found for mark, found in table if re.search(mark, names, re.MULTILINE)), None)
