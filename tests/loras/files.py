"""LoRA files of every kind and of true shapes, written without torch: their numbers are zeros."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

INK = Path(__file__).parents[2] / "models" / "demo" / "loras" / "ink.safetensors"
DOWN, UP = ".lora_down.weight", ".lora_up.weight"
A, B = ".lora_A.weight", ".lora_B.weight"

Shapes = Mapping[str, Sequence[int]]


def pair(layer: str, inputs: int, outputs: int, *, rank: int = 4, sides: tuple[str, str] = (DOWN, UP)) -> Shapes:
    return {f"{layer}{sides[0]}": (rank, inputs), f"{layer}{sides[1]}": (outputs, rank)}


def write(path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Path:
    """All numbers are zeros, which take no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
    return path


FLUX_KOHYA = pair("lora_unet_double_blocks_0_img_attn_qkv", 3072, 9216, rank=16) | pair(
    "lora_unet_single_blocks_37_linear1", 3072, 21504, rank=32
)
FLUX_DIFFUSERS = pair("transformer.single_transformer_blocks.3.proj_mlp", 3072, 12288, sides=(A, B))
DEMO_KOHYA = pair("lora_unet_double_blocks_0_img_attn_qkv", 256, 768)
SDXL = pair("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, 640)
