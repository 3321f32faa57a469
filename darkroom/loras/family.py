"""Which models a LoRA was made for, by the names and sizes of its layers, and by its own word where they leave it open.

Titles are names that people know, the same in every language. Must not know: files, or what can be used.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from darkroom.architecture import DEMO, FLUX1, Architecture
from darkroom.errors import LoraUnusable
from darkroom.loras.layers import Layers, sizes_of
from darkroom.loras.pieces import Pieces, Shapes, places_of

# Those Darkroom can use.
OURS: Mapping[str, Architecture] = {"FLUX.1": FLUX1, "Darkroom demo": DEMO}

# By what a file says of itself, in kohya's and Stability's fields: the first that is found in it.
SAID: Sequence[tuple[str, str]] = (
    (r"flux\.?[-_ ]?2|klein", "FLUX.2"),
    (r"chroma", "Chroma"),
    (r"hunyuan", "HunyuanVideo"),
    (r"qwen", "Qwen-Image"),
    (r"z[-_ ]?image", "Z-Image"),
    (r"wan[-_ ]?2", "Wan 2"),
    (r"ltx", "LTX-Video"),
    (r"hidream", "HiDream"),
    (r"lumina", "Lumina 2"),
    (r"sd3|stable-diffusion-v?3", "Stable Diffusion 3"),
    (r"sdxl|stable-diffusion-xl|pony|illustrious", "SDXL"),
    (r"sd_?(v?2)|stable-diffusion-v2", "Stable Diffusion 2"),
    (r"sd_?(v?1)|stable-diffusion-v1", "Stable Diffusion 1.5"),
    (r"flux", "FLUX.1"),
)
# How wide what a U-Net reads of the prompt is.
U_NETS = {2048: "SDXL", 1024: "Stable Diffusion 2", 768: "Stable Diffusion 1.5"}
FLUX_WIDTHS_2 = (6144, 4096)


def family_of(pieces: Pieces | None, shapes: Shapes, metadata: Mapping[str, str]) -> str:
    """A title, or nothing where it cannot be told. `pieces` is none where the tensors are not pairs of matrices."""
    if pieces is not None:
        for title, architecture in OURS.items():
            if _fits(pieces, Layers(sizes_of(architecture))):
                return title
    by_names = next((title for title, is_it in _BY_NAMES if is_it(_plain(shapes), shapes)), "")
    said = said_family(metadata)
    if by_names:
        return by_names
    # What is for a model of ours by its own word, and yet does not fit it, is for neither.
    return said if pieces is None or said not in OURS else ""


def family_of_model(architecture: Architecture) -> str:
    """What LoRAs for it are made for. With or without guidance, it is the same."""
    plan = (architecture.width, architecture.joint_blocks, architecture.single_blocks)
    alike = (title for title, its in OURS.items() if (its.width, its.joint_blocks, its.single_blocks) == plan)
    return next(alike, "")


def said_family(metadata: Mapping[str, str]) -> str:
    fields = ("ss_base_model_version", "modelspec.architecture", "ss_base_model", "base_model")
    text = " ".join(metadata.get(field, "")[:200] for field in fields).lower()
    return next((title for pattern, title in SAID if re.search(pattern, text)), "")


def _fits(pieces: Pieces, layers: Layers) -> bool:
    try:
        return bool(places_of(pieces, layers, ""))
    except LoraUnusable:
        return False


def _plain(shapes: Shapes) -> str:
    """All names in one text, written in one way."""
    return "\n".join(shapes).replace(".", "_")


def _is_u_net(width: int) -> Callable[[str, Shapes], bool]:
    context = re.compile(r"attn2[._]to_[kv]\.")

    def test(names: str, shapes: Shapes) -> bool:
        if not re.search(r"(down|input|up|output|mid|middle)_blocks?_", names):
            return False
        widths = {shape[1] for name, shape in shapes.items() if context.search(name) and "up" not in name[-12:]}
        return width in {size for size in widths if size in U_NETS}

    return test


def _is_flux_2(names: str, shapes: Shapes) -> bool:
    if "double_stream_modulation" in names or "to_qkv_mlp_proj" in names or "single_stream_modulation" in names:
        return True
    if not re.search(r"(double_blocks|single_blocks|single_transformer_blocks)_\d+_", names):
        return False
    # Its feed-forward has three widths and a gate where FLUX.1's has four: nine widths in all.
    first = [shape for name, shape in shapes.items() if re.search(r"linear1\.(lora_up|lora_B)", name)]
    is_gated = any(shape[0] % 9 == 0 and shape[0] // 9 in (*FLUX_WIDTHS_2, FLUX1.width) for shape in first)
    return is_gated or any(side in FLUX_WIDTHS_2 for shape in shapes.values() for side in shape[1:])


def _has(pattern: str) -> Callable[[str, Shapes], bool]:
    return lambda names, _shapes: re.search(pattern, names) is not None


# The first that is true. What is told by fewer words comes later.
_BY_NAMES: Sequence[tuple[str, Callable[[str, Shapes], bool]]] = (
    *((title, _is_u_net(width)) for width, title in U_NETS.items()),
    ("SDXL", _has(r"(?m)^lora_te2_|input_blocks_[78]_1_transformer_blocks_\d")),
    ("Chroma", _has(r"distilled_guidance_layer")),
    ("HiDream", _has(r"double_stream_blocks|single_stream_blocks")),
    ("FLUX.2", _is_flux_2),
    ("Stable Diffusion 3", _has(r"joint_blocks_\d+_(x_block|context_block)")),
    ("Qwen-Image", _has(r"transformer_blocks_\d+_(img|txt)_(mod|mlp)")),
    ("Wan 2", _has(r"(?<!transformer_)blocks_\d+_(self_attn|cross_attn)_[qkvo]")),
    ("Z-Image", _has(r"layers_\d+_(attention|feed_forward)_(to_[qkv]|w\d)")),
    ("LTX-Video", _has(r"transformer_blocks_\d+_attn2_to_k")),
)
