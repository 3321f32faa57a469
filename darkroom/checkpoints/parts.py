"""The parts of FLUX.1 as their makers wrote them: the name and shape of every tensor, from an architecture's figures.

All other layouts are told in these names. Must not know: files, or other layouts.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias, get_args

from darkroom.architecture import RELATIVE_POSITIONS, TIME_CHANNELS, Architecture

PartName = Literal["transformer", "text_encoder_1", "text_encoder_2", "vae"]
PART_NAMES: tuple[PartName, ...] = get_args(PartName)
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
_Tensors: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]


def part_named(name: str) -> PartName | None:
    return next((part for part in PART_NAMES if part == name), None)


def shapes_of(part: PartName, architecture: Architecture) -> Shapes:
    tensors = {
        "transformer": _transformer,
        "text_encoder_1": _clip,
        "text_encoder_2": _t5,
        "vae": _vae,
    }
    return dict(tensors[part](architecture))


def _transformer(flux: Architecture) -> _Tensors:
    width, token = flux.width, flux.latent_channels * 4
    yield from _linear("img_in", token, width)
    yield from _linear("txt_in", flux.t5.width, width)
    for embedder, inputs in (
        ("time_in", TIME_CHANNELS),
        ("vector_in", flux.clip.width),
        ("guidance_in", TIME_CHANNELS),
    ):
        if embedder != "guidance_in" or flux.guidance:
            yield from _linear(f"{embedder}.in_layer", inputs, width)
            yield from _linear(f"{embedder}.out_layer", width, width)
    for number in range(flux.joint_blocks):
        for side in ("img", "txt"):
            block = f"double_blocks.{number}.{side}"
            yield from _linear(f"{block}_mod.lin", width, 6 * width)
            yield from _linear(f"{block}_attn.qkv", width, 3 * width)
            yield from _norms(f"{block}_attn.norm", flux)
            yield from _linear(f"{block}_attn.proj", width, width)
            yield from _linear(f"{block}_mlp.0", width, 4 * width)
            yield from _linear(f"{block}_mlp.2", 4 * width, width)
    for number in range(flux.single_blocks):
        block = f"single_blocks.{number}"
        yield from _linear(f"{block}.linear1", width, 7 * width)
        yield from _linear(f"{block}.linear2", 5 * width, width)
        yield from _norms(f"{block}.norm", flux)
        yield from _linear(f"{block}.modulation.lin", width, 3 * width)
    yield from _linear("final_layer.adaLN_modulation.1", width, 2 * width)
    yield from _linear("final_layer.linear", width, token)


def _norms(name: str, flux: Architecture) -> _Tensors:
    for norm in ("query_norm", "key_norm"):
        yield f"{name}.{norm}.scale", (flux.head_width,)


def _clip(flux: Architecture) -> _Tensors:
    clip, inner = flux.clip, flux.clip.heads * flux.clip.head_width
    yield "text_model.embeddings.token_embedding.weight", (clip.vocabulary, clip.width)
    yield "text_model.embeddings.position_embedding.weight", (clip.positions, clip.width)
    for number in range(clip.layers):
        layer = f"text_model.encoder.layers.{number}"
        for name in ("q_proj", "k_proj", "v_proj"):
            yield from _linear(f"{layer}.self_attn.{name}", clip.width, inner)
        yield from _linear(f"{layer}.self_attn.out_proj", inner, clip.width)
        yield from _linear(f"{layer}.mlp.fc1", clip.width, clip.feed_forward)
        yield from _linear(f"{layer}.mlp.fc2", clip.feed_forward, clip.width)
        yield from _norm(f"{layer}.layer_norm1", clip.width)
        yield from _norm(f"{layer}.layer_norm2", clip.width)
    yield from _norm("text_model.final_layer_norm", clip.width)


def _t5(flux: Architecture) -> _Tensors:
    t5, inner = flux.t5, flux.t5.heads * flux.t5.head_width
    yield "shared.weight", (t5.vocabulary, t5.width)
    for number in range(t5.layers):
        attention, feed_forward = (f"encoder.block.{number}.layer.{layer}" for layer in (0, 1))
        for name in ("q", "k", "v"):
            yield f"{attention}.SelfAttention.{name}.weight", (inner, t5.width)
        yield f"{attention}.SelfAttention.o.weight", (t5.width, inner)
        if number == 0:
            yield f"{attention}.SelfAttention.relative_attention_bias.weight", (RELATIVE_POSITIONS, t5.heads)
        yield f"{attention}.layer_norm.weight", (t5.width,)
        yield f"{feed_forward}.DenseReluDense.wi_0.weight", (t5.feed_forward, t5.width)
        yield f"{feed_forward}.DenseReluDense.wi_1.weight", (t5.feed_forward, t5.width)
        yield f"{feed_forward}.DenseReluDense.wo.weight", (t5.width, t5.feed_forward)
        yield f"{feed_forward}.layer_norm.weight", (t5.width,)
    yield "encoder.final_layer_norm.weight", (t5.width,)


def _vae(flux: Architecture) -> _Tensors:
    widths = (flux.vae.narrow, flux.vae.middle, flux.vae.wide, flux.vae.wide)
    narrow, wide = widths[0], widths[-1]
    yield from _convolution("encoder.conv_in", 3, narrow)
    before = narrow
    for level, width in enumerate(widths):
        yield from _resnet(f"encoder.down.{level}.block.0", before, width)
        yield from _resnet(f"encoder.down.{level}.block.1", width, width)
        if level < 3:
            yield from _convolution(f"encoder.down.{level}.downsample.conv", width, width)
        before = width
    yield from _middle("encoder", wide)
    yield from _norm("encoder.norm_out", wide)
    yield from _convolution("encoder.conv_out", wide, 2 * flux.latent_channels)
    yield from _convolution("decoder.conv_in", flux.latent_channels, wide)
    yield from _middle("decoder", wide)
    before = wide
    for level, width in reversed(list(enumerate(widths))):
        yield from _resnet(f"decoder.up.{level}.block.0", before, width)
        yield from _resnet(f"decoder.up.{level}.block.1", width, width)
        yield from _resnet(f"decoder.up.{level}.block.2", width, width)
        if level > 0:
            yield from _convolution(f"decoder.up.{level}.upsample.conv", width, width)
        before = width
    yield from _norm("decoder.norm_out", narrow)
    yield from _convolution("decoder.conv_out", narrow, 3)


def _middle(side: str, width: int) -> _Tensors:
    yield from _resnet(f"{side}.mid.block_1", width, width)
    yield from _norm(f"{side}.mid.attn_1.norm", width)
    for name in ("q", "k", "v", "proj_out"):
        yield from _convolution(f"{side}.mid.attn_1.{name}", width, width, pixels=1)
    yield from _resnet(f"{side}.mid.block_2", width, width)


def _resnet(name: str, inputs: int, outputs: int) -> _Tensors:
    yield from _norm(f"{name}.norm1", inputs)
    yield from _convolution(f"{name}.conv1", inputs, outputs)
    yield from _norm(f"{name}.norm2", outputs)
    yield from _convolution(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from _convolution(f"{name}.nin_shortcut", inputs, outputs, pixels=1)


def _linear(name: str, inputs: int, outputs: int) -> _Tensors:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> _Tensors:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _convolution(name: str, inputs: int, outputs: int, *, pixels: int = 3) -> _Tensors:
    yield f"{name}.weight", (outputs, inputs, pixels, pixels)
    yield f"{name}.bias", (outputs,)
