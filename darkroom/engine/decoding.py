"""The VAE's two directions: in one go, or layer by layer in strips, which takes a fraction of the memory.

Strips give the same picture, because what a layer sees is never cut. Must not know: what the picture is of, or how much
memory there is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from diffsynth.models.flux_vae import (
    DownSampler,
    FluxVAEDecoder,
    FluxVAEEncoder,
    ResnetBlock,
    UpSampler,
    VAEAttentionBlock,
)
from torch import Tensor, nn
from torch.nn import functional

Vae: TypeAlias = FluxVAEDecoder | FluxVAEEncoder
Done = Callable[[float], None]
Layer = Callable[[Tensor], Tensor]


@torch.no_grad()
def decode(decoder: FluxVAEDecoder, latents: Tensor, *, tile: int | None, between: Done | None = None) -> Tensor:
    """Latents (batch, 16, H/8, W/8) to pictures (batch, 3, H, W) in float32, about −1…1, on the same device.

    With `tile`, no layer works on more than about `tile` × `tile` pixels at once. `between` is told after each piece of
    work which fraction is done, and may raise. Raises ValueError if the latents are not all finite.
    """
    if not latents.isfinite().all():
        # Without this, a fault anywhere before becomes a black picture.
        raise ValueError("the latents hold values that are not finite")
    return _through(decoder, latents / decoder.scaling_factor + decoder.shift_factor, tile, between)


@torch.no_grad()
def encode(encoder: FluxVAEEncoder, pixels: Tensor, *, tile: int | None, between: Done | None = None) -> Tensor:
    """Pictures (batch, 3, H, W) in −1…1 to latents (batch, 16, H/8, W/8) in float32. For the rest see `decode`."""
    means, _how_sure = _through(encoder, pixels, tile, between).chunk(2, dim=1)
    latents: Tensor = (means - encoder.shift_factor) * encoder.scaling_factor
    return latents


def _through(model: Vae, whole: Tensor, tile: int | None, between: Done | None) -> Tensor:
    return _at_once(model, whole, between) if tile is None else _in_strips(model, whole, tile, between)


def _at_once(model: Vae, whole: Tensor, between: Done | None) -> Tensor:
    hidden: Tensor = model.conv_in(whole)
    for block in model.blocks:
        hidden = _plain(block)(hidden)
    hidden = model.conv_norm_out(hidden)
    hidden = model.conv_act(hidden)
    answer: Tensor = model.conv_out(hidden).float()
    if between is not None:
        between(1.0)
    return answer


# Why not overlapping, blended tiles: GroupNorm then takes its mean and spread from the tile. With the demo's VAE, tiles
# of 256 pixels that share 128 put a picture of 512 off by 4 of 255 on average and by 27 at most; with the whole's mean
# and spread, by nothing. GroupNorm can be summed up over strips; attention, which needs the whole too, works on few
# places; nothing else sees further than the next row. So this is exact. Of one layer, input and output are held whole.
def _in_strips(model: Vae, whole: Tensor, tile: int, between: Done | None) -> Tensor:
    layers = 2 + sum(2 if isinstance(block, ResnetBlock) else 1 for block in model.blocks)
    strips = _Strips(tile, layers, between)
    hidden = strips.through(model.conv_in, whole, whole.shape[-2])
    for block in model.blocks:
        if isinstance(block, ResnetBlock):
            hidden = _resnet(block, hidden, strips)
        elif isinstance(block, UpSampler):
            hidden = strips.through(_plain(block), hidden, hidden.shape[-2] * 2)
        elif isinstance(block, DownSampler):
            hidden = strips.through(_plain(block), hidden, hidden.shape[-2] // 2)
        else:
            hidden = _plain(block)(hidden)
            strips.tell(1.0)
    normal = strips.normal(model.conv_norm_out, hidden)
    return strips.through(lambda part: model.conv_out(normal(part)), hidden, hidden.shape[-2], torch.float32)


def _resnet(block: ResnetBlock, hidden: Tensor, strips: "_Strips") -> Tensor:
    """The block's answer, in the memory of `hidden` where it fits in."""
    rows = hidden.shape[-2]
    normal = strips.normal(block.norm1, hidden)
    middle = strips.through(lambda part: block.conv1(normal(part)), hidden, rows)
    normal_middle = strips.normal(block.norm2, middle)
    channels = middle.shape[1]
    result = hidden[:, :channels] if channels <= hidden.shape[1] else torch.empty_like(middle)
    for strip in strips.of(middle, rows):
        change = block.conv2(normal_middle(middle[..., strip.read, :]))[..., strip.keep, :]
        own = hidden[..., strip.write, :]
        result[..., strip.write, :] = change + (own if block.conv_shortcut is None else block.conv_shortcut(own))
    return result


def _plain(block: nn.Module) -> Layer:
    """DiffSynth's blocks pass three more values along, which a VAE does not have."""
    if isinstance(block, VAEAttentionBlock):
        return lambda hidden: _attention(block, hidden)
    return lambda hidden: block(hidden, None, None, None)[0]


# DiffSynth hands attention queries, keys and values that lie across. On a card torch's fused kernels refuse these, and
# each place's weight for each other is written out in float32, twice, and a mask: 2.4 GB for 1024 × 1024 pixels, 39 GB
# for 2048 × 2048, in strips or not.
def _attention(block: VAEAttentionBlock, hidden: Tensor) -> Tensor:
    rows: Tensor = block.norm(hidden).flatten(2).transpose(1, 2).contiguous()
    for layer in block.transformer_blocks:
        query, key, value = (
            _of_each(linear, rows).view(*rows.shape[:2], layer.num_heads, layer.head_dim).transpose(1, 2)
            for linear in (layer.to_q, layer.to_k, layer.to_v)
        )
        answer = functional.scaled_dot_product_attention(query, key, value)
        rows = _of_each(layer.to_out, answer.transpose(1, 2).flatten(2))
    return rows.transpose(1, 2).reshape(hidden.shape) + hidden


def _of_each(linear: nn.Conv2d | nn.Linear, rows: Tensor) -> Tensor:
    """A convolution of 1 × 1 is a linear layer."""
    return functional.linear(rows, linear.weight.flatten(1), linear.bias)


@dataclass(frozen=True, kw_only=True)
class _Strip:
    """Rows of a layer's input to read, rows of the answer to keep, and the rows of the output that these are."""

    read: slice
    keep: slice
    write: slice


class _Strips:
    """Cuts a layer's work into strips of rows, and tells after each which fraction of all layers' work is done."""

    def __init__(self, tile: int, layers: int, between: Done | None) -> None:
        if tile < 1:
            raise ValueError(f"tile {tile}: must be a number of pixels")
        self._area = tile * tile
        self._layers = layers
        self._layers_done = 0
        self._between = between

    def of(self, source: Tensor, rows_after: int) -> Iterator[_Strip]:
        """For a 3 × 3 convolution from `source` to an output of `rows_after` rows: as many, twice, or half."""
        rows, width = source.shape[-2:]
        steps = min(rows, rows_after)
        before, after = rows // steps, rows_after // steps
        height = max(1, self._area // (width * before * after * after))
        # A convolution that takes every second row begins with that row; the others look one row up as well.
        above = 1 if before == 1 else 0
        for top in range(0, steps, height):
            bottom = min(top + height, steps)
            first = max(top * before - above, 0)
            skipped = (top - first) * after * above
            yield _Strip(
                read=slice(first, min(bottom * before + 1, rows)),
                keep=slice(skipped, skipped + (bottom - top) * after),
                write=slice(top * after, bottom * after),
            )
            self.tell(bottom / steps)

    def tell(self, fraction_of_layer: float) -> None:
        done = self._layers_done + fraction_of_layer
        if fraction_of_layer == 1:
            self._layers_done += 1
        if self._between is not None:
            self._between(done / self._layers)

    def through(self, layer: Layer, source: Tensor, rows_after: int, dtype: torch.dtype | None = None) -> Tensor:
        """What the layer answers to all of `source`, in memory of its own."""
        result: Tensor | None = None
        for strip in self.of(source, rows_after):
            answer = layer(source[..., strip.read, :])[..., strip.keep, :]
            if result is None:
                batch, channels, _, width = answer.shape
                result = answer.new_empty(batch, channels, rows_after, width, dtype=dtype or answer.dtype)
            result[..., strip.write, :] = answer
        assert result is not None
        return result

    def normal(self, norm: nn.GroupNorm, whole: Tensor) -> Layer:
        """GroupNorm over the whole, then SiLU, to be done to any rows of it."""
        batch, channels, rows, width = whole.shape
        weighed: list[tuple[float, Tensor, Tensor]] = []
        for part in torch.split(whole, max(1, self._area // width), dim=-2):
            group = part.reshape(batch, norm.num_groups, -1).float()
            variance, mean = torch.var_mean(group, dim=-1, correction=0)
            weighed.append((part.shape[-2] / rows, variance, mean))
        mean = torch.stack([share * mean for share, _, mean in weighed]).sum(0)
        variance = torch.stack([share * (each + (own - mean) ** 2) for share, each, own in weighed]).sum(0)
        mean, variance = (each.repeat_interleave(channels // norm.num_groups, 1).flatten() for each in (mean, variance))
        weight, bias = (parameter.float().repeat(batch) for parameter in (norm.weight, norm.bias))

        def normalised(part: Tensor) -> Tensor:
            # With its figures given, it is one pass that computes in float32 whatever the type of `part`.
            flat = part.reshape(1, batch * channels, -1, width)
            answer = functional.batch_norm(flat, mean, variance, weight, bias, training=False, eps=norm.eps)
            return functional.silu(answer, inplace=True).reshape(part.shape)

        return normalised
