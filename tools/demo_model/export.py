"""Writes models/demo from trained weights, in the files and names in which FLUX.1's own parts are published.

Linear weights of the blocks become float8 with one scale each, as in ComfyUI's scaled-float8 files:
weight = stored · scale.
Run: python -m tools.demo_model.export --help. Must not know: how the weights were trained, or who loads the files.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor
from transformers import T5TokenizerFast

from darkroom.engine.demo import JOINT_BLOCKS, SINGLE_BLOCKS
from tools.demo_model.make_tokenizers import small_letters

METADATA = {"format": "pt", "darkroom": "demo 1"}
# As other tools write it: the page shows the name, and the words that its training said with each picture.
OF_INK = METADATA | {"modelspec.title": "Ink drawing", "modelspec.trigger_phrase": "ink drawing"}
FLOAT8 = torch.float8_e4m3fn
LARGEST_FLOAT8 = 448.0

# ours, then FLUX.1's
OUTER_NAMES = {
    "time_embedder.timestep_embedder.0": "time_in.in_layer",
    "time_embedder.timestep_embedder.2": "time_in.out_layer",
    "guidance_embedder.timestep_embedder.0": "guidance_in.in_layer",
    "guidance_embedder.timestep_embedder.2": "guidance_in.out_layer",
    "pooled_text_embedder.0": "vector_in.in_layer",
    "pooled_text_embedder.2": "vector_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "final_norm_out.linear": "final_layer.adaLN_modulation.1",
    "final_proj_out": "final_layer.linear",
}
JOINT_NAMES = {
    "norm1_{ab}.linear": "{part}_mod.lin",
    "attn.{ab}_to_qkv": "{part}_attn.qkv",
    "attn.{ab}_to_out": "{part}_attn.proj",
    "ff_{ab}.0": "{part}_mlp.0",
    "ff_{ab}.2": "{part}_mlp.2",
}
SINGLE_NAMES = {"norm.linear": "modulation.lin", "to_qkv_mlp": "linear1", "proj_out": "linear2"}
CLIP_LAYER_NAMES = {
    "attn.to_q": "self_attn.q_proj",
    "attn.to_k": "self_attn.k_proj",
    "attn.to_v": "self_attn.v_proj",
    "attn.to_out": "self_attn.out_proj",
    "layer_norm1": "layer_norm1",
    "layer_norm2": "layer_norm2",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network.safetensors of train_flow")
    parser.add_argument("--vae", type=Path, required=True, help="vae.safetensors of train_vae")
    parser.add_argument("--tokenizers", type=Path, required=True, help="folder made by make_tokenizers")
    parser.add_argument("--lora", type=Path, help="ink.safetensors of train_lora")
    parser.add_argument("--out", type=Path, default=Path("models/demo"))
    arguments = parser.parse_args()
    network = load_file(arguments.network)
    pieces = small_letters(T5TokenizerFast.from_pretrained(arguments.tokenizers / "tokenizer_2"))
    # training saw small letters only: capitals mean the same
    network["text_encoder_2.shared.weight"] = network["text_encoder_2.shared.weight"][pieces]
    export(arguments.out, network=network, vae=load_file(arguments.vae))
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(arguments.tokenizers / name, arguments.out / name, dirs_exist_ok=True)
    if arguments.lora is not None:
        (arguments.out / "loras").mkdir(exist_ok=True)
        save(load_file(arguments.lora), arguments.out / "loras" / "ink.safetensors", OF_INK)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{arguments.out}: {size} bytes of 33554432")


def export(folder: Path, *, network: dict[str, Tensor], vae: dict[str, Tensor]) -> None:
    """Write the four weight files. The same weights give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "transformer": scaled_transformer(_part(network, "dit.")),
        "text_encoder": clip_state(_part(network, "text_encoder_1.")),
        "text_encoder_2": t5_state(_part(network, "text_encoder_2.")),
        "ae": vae_state(vae),
    }
    for name, state in files.items():
        save(state, folder / f"{name}.safetensors", METADATA)


def save(state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """A safetensors file whose header has a fixed order, so that the same weights give the same bytes."""
    content = to_bytes({name: state[name].contiguous() for name in sorted(state)}, metadata=metadata)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def scaled_transformer(state: dict[str, Tensor]) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    names = transformer_names()
    for name, value in state.items():
        if name.startswith(("blocks.", "single_blocks.")) and value.ndim == 2:
            result |= scaled(names[name], value)
        else:
            result[names[name]] = value.bfloat16()
    return result


def transformer_names() -> dict[str, str]:
    """Our name of each tensor to FLUX.1's."""
    layers = dict(OUTER_NAMES)
    tensors: dict[str, str] = {}
    for block in range(JOINT_BLOCKS):
        for ab, part in (("a", "img"), ("b", "txt")):
            for ours, theirs in JOINT_NAMES.items():
                layers[f"blocks.{block}.{ours.format(ab=ab)}"] = f"double_blocks.{block}.{theirs.format(part=part)}"
            for qk, name in (("q", "query"), ("k", "key")):
                tensors[f"blocks.{block}.attn.norm_{qk}_{ab}.weight"] = (
                    f"double_blocks.{block}.{part}_attn.norm.{name}_norm.scale"
                )
    for block in range(SINGLE_BLOCKS):
        for ours, theirs in SINGLE_NAMES.items():
            layers[f"single_blocks.{block}.{ours}"] = f"single_blocks.{block}.{theirs}"
        for qk, name in (("q", "query"), ("k", "key")):
            tensors[f"single_blocks.{block}.norm_{qk}_a.weight"] = f"single_blocks.{block}.norm.{name}_norm.scale"
    for ours, theirs in layers.items():
        tensors[f"{ours}.weight"] = f"{theirs}.weight"
        tensors[f"{ours}.bias"] = f"{theirs}.bias"
    return tensors


def lora_names() -> dict[str, str]:
    """Our name of each linear layer inside the blocks to its name in the common LoRA layout."""
    return {
        ours.removesuffix(".weight"): "lora_unet_" + theirs.removesuffix(".weight").replace(".", "_")
        for ours, theirs in transformer_names().items()
        if theirs.startswith(("double_blocks.", "single_blocks.")) and ours.endswith(".weight") and "norm_" not in ours
    }


def scaled(name: str, weight: Tensor) -> dict[str, Tensor]:
    scale = (weight.float().abs().max().clamp(min=1e-12) / LARGEST_FLOAT8).reshape(())
    stored = (weight.float() / scale).clamp(-LARGEST_FLOAT8, LARGEST_FLOAT8).to(FLOAT8)
    return {name: stored, name.removesuffix("weight") + "scale_weight": scale}


def clip_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    result = {
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["position_embeds"][0],
        "text_model.final_layer_norm.weight": state["final_layer_norm.weight"],
        "text_model.final_layer_norm.bias": state["final_layer_norm.bias"],
    }
    for name, value in state.items():
        if name.startswith("encoders."):
            _, layer, rest = name.split(".", 2)
            part, kind = rest.rsplit(".", 1)
            result[f"text_model.encoder.layers.{layer}.{CLIP_LAYER_NAMES[part]}.{kind}"] = value
    stored: dict[str, Tensor] = {}
    for name, value in result.items():
        if ".layers." in name and value.ndim == 2:
            stored |= scaled(name, value)
        else:
            stored[name] = value.bfloat16()
    return stored


def t5_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Trained under the same names as Hugging Face's; the shared embedding is stored once."""
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "encoder.embed_tokens.weight":
            continue
        linear = value.ndim == 2 and (".SelfAttention." in name or ".DenseReluDense." in name)
        if linear and "relative_attention_bias" not in name:
            result |= scaled(name, value)
        else:
            result[name] = value.bfloat16()
    return result


def vae_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = vae_names()
    result = {}
    for name, value in state.items():
        coder, layer = name.split(".", 1)
        prefix = next(known for known in names[coder] if layer.startswith(known + "."))
        result[f"{coder}.{names[coder][prefix]}{layer[len(prefix) :]}"] = value
    for ours, theirs in (("conv_shortcut", "nin_shortcut"), ("transformer_blocks.0.to_out", "proj_out")):
        result = {name.replace(ours, theirs): value for name, value in result.items()}
    result = {name.replace("transformer_blocks.0.to_", ""): value for name, value in result.items()}
    return {name: value.half() for name, value in result.items()}


def vae_names() -> dict[str, dict[str, str]]:
    """For encoder and decoder: our layer names to FLUX.1's."""
    encoder = {"conv_in": "conv_in", "conv_norm_out": "norm_out", "conv_out": "conv_out"}
    decoder = dict(encoder)
    for level in range(4):
        first = level * 3
        for block in range(2):
            encoder[f"blocks.{first + block}"] = f"down.{level}.block.{block}"
        if level < 3:
            encoder[f"blocks.{first + 2}"] = f"down.{level}.downsample"
    encoder |= {"blocks.11": "mid.block_1", "blocks.12": "mid.attn_1", "blocks.13": "mid.block_2"}
    decoder |= {"blocks.0": "mid.block_1", "blocks.1": "mid.attn_1", "blocks.2": "mid.block_2"}
    for level in range(4):
        first = 3 + (3 - level) * 4
        for block in range(3):
            decoder[f"blocks.{first + block}"] = f"up.{level}.block.{block}"
        if level > 0:
            decoder[f"blocks.{first + 3}"] = f"up.{level}.upsample"
    return {"encoder": encoder, "decoder": decoder}


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


if __name__ == "__main__":
    main()
