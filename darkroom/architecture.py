"""A model's dimensions, and what follows from them alone: bytes of its parts, tokens and arithmetic of a step.

Weights of Linear layers in the blocks of the transformer and of T5 are scaled float8; all else is in the computation
type. Must not know: tensors, cards, or what memory there is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

ALIGNMENT = 256
SCALE_BYTES = 4
PIXELS_PER_LATENT = 8
PIXELS_PER_TOKEN = 16
TIME_CHANNELS = 256
RELATIVE_POSITIONS = 32


def flat_bytes(sizes: Iterable[int]) -> int:
    """What tensors of these sizes take in one flat buffer in which each begins at a multiple of ALIGNMENT."""
    return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)


@dataclass(frozen=True, kw_only=True)
class T5:
    """The text encoder that reads the whole prompt. `heads` times `head_width` need not be `width`."""

    width: int
    layers: int
    heads: int
    head_width: int
    feed_forward: int
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The text encoder that gives the pooled prompt. Its Linear weights are float8 only if the file has them so."""

    width: int
    layers: int
    heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    positions: int
    float8: bool


@dataclass(frozen=True, kw_only=True)
class Vae:
    """Channels at the full, the half and the quarter of a picture's sides; an eighth has those of the quarter."""

    narrow: int
    middle: int
    wide: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """FLUX.1's plan at some size. `number_bytes` is what one number takes in the computation type: 2, or 4 in float32.

    Bytes of a block are what a flat buffer of all its tensors takes, each rounded up to ALIGNMENT. Modulation is what
    the layers do that see one row a step: the time, the pooled prompt and the guidance. With `modulation_apart` they
    are units of their own and belong to no block.
    """

    width: int
    heads: int
    joint_blocks: int
    single_blocks: int
    latent_channels: int
    guidance: bool
    t5: T5
    clip: Clip
    vae: Vae
    number_bytes: int = 2
    modulation_apart: bool = False

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @cached_property
    def joint_block_bytes(self) -> int:
        """A block in which picture and prompt have weights of their own, and attend to each other."""
        width = self.width
        layers = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
        one_stream = [size for shape in layers for size in self._linear(*shape)] + self._numbers(self.head_width) * 2
        return flat_bytes(one_stream * 2) + (0 if self.modulation_apart else self.joint_modulation_bytes)

    @cached_property
    def single_block_bytes(self) -> int:
        width = self.width
        layers = ((width, 7 * width), (5 * width, width))
        sizes = [size for shape in layers for size in self._linear(*shape)] + self._numbers(self.head_width) * 2
        return flat_bytes(sizes) + (0 if self.modulation_apart else self.single_modulation_bytes)

    @cached_property
    def joint_modulation_bytes(self) -> int:
        """A joint block's layers that see one row a step: one for the picture, one for the prompt."""
        return flat_bytes(self._linear(self.width, 6 * self.width) * 2)

    @cached_property
    def single_modulation_bytes(self) -> int:
        return flat_bytes(self._linear(self.width, 3 * self.width))

    @cached_property
    def modulation_units(self) -> tuple[int, ...]:
        """Bytes of each block's modulation, in the blocks' order; none where it is not apart."""
        joint = (self.joint_modulation_bytes,) * self.joint_blocks
        return joint + (self.single_modulation_bytes,) * self.single_blocks if self.modulation_apart else ()

    @property
    def modulation_row_bytes(self) -> int:
        """What all modulation layers answer in one step."""
        return self.modulation_numbers // self.width * self.number_bytes

    @cached_property
    def transformer_blocks(self) -> tuple[int, ...]:
        """Bytes of each block in running order: joint, then single."""
        return (self.joint_block_bytes,) * self.joint_blocks + (self.single_block_bytes,) * self.single_blocks

    @cached_property
    def t5_block_bytes(self) -> int:
        """Every block of T5 but the first."""
        return flat_bytes(self._t5_block())

    @cached_property
    def t5_blocks(self) -> tuple[int, ...]:
        """The first block also holds what all of them know about positions."""
        first = flat_bytes([*self._t5_block(), *self._numbers(RELATIVE_POSITIONS * self.t5.heads)])
        return (first, *(self.t5_block_bytes,) * (self.t5.layers - 1))

    @cached_property
    def transformer_rest_bytes(self) -> int:
        """The transformer without its blocks: embedders and the last projection."""
        width, token = self.width, self.latent_channels * 4
        times = 2 if self.guidance else 1
        layers = [(TIME_CHANNELS, width), (width, width)] * times
        layers += [(self.clip.width, width), (width, width), (self.t5.width, width), (token, width)]
        layers += [(width, 2 * width), (width, token)]
        return sum(_numbers_of_linear(*shape) for shape in layers) * self.number_bytes

    @property
    def t5_rest_bytes(self) -> int:
        """T5 without its blocks: the vocabulary, which is looked up in RAM, and the last norm."""
        return self.t5.vocabulary * self.t5.width * self.number_bytes + self.t5_norm_bytes

    @property
    def t5_norm_bytes(self) -> int:
        return self.t5.width * self.number_bytes

    @cached_property
    def clip_bytes(self) -> int:
        clip, inner = self.clip, self.clip.heads * self.clip.head_width
        layers = [(clip.width, inner)] * 3 + [(inner, clip.width)]
        layers += [(clip.width, clip.feed_forward), (clip.feed_forward, clip.width)]
        weights = clip.layers * sum(inputs * outputs for inputs, outputs in layers)
        biases = clip.layers * sum(outputs for _, outputs in layers)
        norms = (clip.layers * 4 + 2) * clip.width
        tables = (clip.vocabulary + clip.positions) * clip.width
        scales = clip.layers * len(layers) * SCALE_BYTES if clip.float8 else 0
        return (
            weights * (1 if clip.float8 else self.number_bytes)
            + scales
            + ((biases + norms + tables) * self.number_bytes)
        )

    @cached_property
    def vae_decoder_bytes(self) -> int:
        narrow, middle, wide = self.vae.narrow, self.vae.middle, self.vae.wide
        blocks = 8 * _resnet(wide, wide) + _attention(wide) + 2 * _convolution(wide, wide)
        blocks += _resnet(wide, middle) + 2 * _resnet(middle, middle) + _convolution(middle, middle)
        blocks += _resnet(middle, narrow) + 2 * _resnet(narrow, narrow)
        ends = _convolution(self.latent_channels, wide) + 2 * narrow + _convolution(narrow, 3)
        return (blocks + ends) * self.number_bytes

    @cached_property
    def vae_encoder_bytes(self) -> int:
        narrow, middle, wide = self.vae.narrow, self.vae.middle, self.vae.wide
        blocks = 2 * _resnet(narrow, narrow) + _convolution(narrow, narrow)
        blocks += _resnet(narrow, middle) + _resnet(middle, middle) + _convolution(middle, middle)
        blocks += _resnet(middle, wide) + _resnet(wide, wide) + _convolution(wide, wide)
        blocks += 4 * _resnet(wide, wide) + _attention(wide)
        ends = _convolution(3, narrow) + 2 * wide + _convolution(wide, 2 * self.latent_channels)
        return (blocks + ends) * self.number_bytes

    @property
    def vae_bytes(self) -> int:
        return self.vae_decoder_bytes + self.vae_encoder_bytes

    @cached_property
    def unit_bytes(self) -> int:
        """All that may come through a ring."""
        return sum(self.transformer_blocks) + sum(self.modulation_units) + sum(self.t5_blocks)

    @cached_property
    def stored_bytes(self) -> int:
        """All weights, as they rest in RAM."""
        return self.unit_bytes + self.transformer_rest_bytes + self.t5_rest_bytes + self.clip_bytes + self.vae_bytes

    def image_tokens(self, width: int, height: int) -> int:
        """Tokens of a picture of this many pixels."""
        return (width // PIXELS_PER_TOKEN) * (height // PIXELS_PER_TOKEN)

    def linear_flop(self, tokens: int) -> int:
        """Multiplications and additions in the blocks' layers, for a step over all tokens, the prompt's included.

        Modulation counts for nothing.
        """
        return 24 * self.width**2 * tokens * (self.joint_blocks + self.single_blocks)

    def attention_flop(self, tokens: int) -> int:
        return 4 * self.width * tokens**2 * (self.joint_blocks + self.single_blocks)

    @property
    def modulation_numbers(self) -> int:
        """Weights of the modulation layers, biases not counted."""
        return (12 * self.joint_blocks + 3 * self.single_blocks) * self.width**2

    def _t5_block(self) -> Iterator[int]:
        t5, inner = self.t5, self.t5.heads * self.t5.head_width
        layers = [(t5.width, inner)] * 3 + [(inner, t5.width)]
        layers += [(t5.width, t5.feed_forward)] * 2 + [(t5.feed_forward, t5.width)]
        for inputs, outputs in layers:
            yield from (inputs * outputs, SCALE_BYTES)
        yield from self._numbers(t5.width) * 2

    def _linear(self, inputs: int, outputs: int) -> list[int]:
        """Tensors of a float8 layer: weight, scale, bias."""
        return [inputs * outputs, SCALE_BYTES, *self._numbers(outputs)]

    def _numbers(self, count: int) -> list[int]:
        return [count * self.number_bytes]


def _numbers_of_linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _convolution(channels_in: int, channels_out: int) -> int:
    return 9 * channels_in * channels_out + channels_out


def _resnet(channels_in: int, channels_out: int) -> int:
    norms = 2 * channels_in + 2 * channels_out
    shortcut = _numbers_of_linear(channels_in, channels_out) if channels_in != channels_out else 0
    return norms + _convolution(channels_in, channels_out) + _convolution(channels_out, channels_out) + shortcut


def _attention(channels: int) -> int:
    return 2 * channels + 4 * _numbers_of_linear(channels, channels)


FLUX1 = Architecture(
    width=3072,
    heads=24,
    joint_blocks=19,
    single_blocks=38,
    latent_channels=16,
    guidance=True,
    t5=T5(width=4096, layers=24, heads=64, head_width=64, feed_forward=10240, vocabulary=32128),
    clip=Clip(
        width=768,
        layers=12,
        heads=12,
        head_width=64,
        feed_forward=3072,
        vocabulary=49408,
        positions=77,
        float8=False,
    ),
    vae=Vae(narrow=128, middle=256, wide=512),
)

DEMO = Architecture(
    width=256,
    heads=4,
    joint_blocks=3,
    single_blocks=12,
    latent_channels=16,
    guidance=True,
    t5=T5(width=256, layers=3, heads=4, head_width=64, feed_forward=512, vocabulary=2048),
    clip=Clip(
        width=128, layers=2, heads=12, head_width=64, feed_forward=512, vocabulary=2048, positions=77, float8=True
    ),
    vae=Vae(narrow=32, middle=48, wide=96),
)
