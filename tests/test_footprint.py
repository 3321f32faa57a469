"""What a stage is said to need is what DiffSynth's modules, at FLUX.1's size and without content, really keep alive."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from diffsynth.models.flux_dit import FluxJointTransformerBlock, FluxSingleTransformerBlock
from diffsynth.models.flux_text_encoder_t5 import FluxTextEncoderT5
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from torch import Tensor, nn
from torch.nn import functional

from darkroom.architecture import FLUX1
from darkroom.cards import KNOWN, speed_of
from darkroom.engine import decoding
from darkroom.engine.float8 import Float8Linear, use_float8_matmul
from darkroom.engine.modulation import BlockModulation
from darkroom.footprint import COEFFICIENTS, MIB, Footprint, allocated
from tests.alive import AliveBytes

# Only what is alive: no workspaces, no share of the allocator's.
ALIVE = replace(COEFFICIENTS, standing=0, fragmentation=0, convolution_workspace=0, t5_bias_copies=1)
PROMPT_TOKENS = 512


@pytest.fixture(autouse=True)
def _attention_as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it never holds tokens × tokens; without a card torch would pick a path that does."""

    def attention(query: Tensor, *_: object, **__: object) -> Tensor:
        batch, heads, tokens, width = query.shape
        return query.new_empty(batch, tokens, heads, width).transpose(1, 2)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attention)


def without_content(build: Callable[[], nn.Module], *, float8: bool) -> nn.Module:
    with torch.device("meta"):
        module = build().to(torch.bfloat16).eval().requires_grad_(False)
    for name, layer in list(module.named_modules()):
        if float8 and isinstance(layer, nn.Linear):
            stored = torch.empty(layer.weight.shape, dtype=torch.float8_e4m3fn, device="meta")
            float8_layer = Float8Linear(stored, torch.ones((), device="meta"), layer.bias)
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, float8_layer)
    return module


def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def alive(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """At the height of a call, the inputs included."""
    with torch.no_grad(), AliveBytes([*module.parameters(), *module.buffers(), *inputs]) as count:
        module(*inputs)
    height: int = count.most + sum(tensor.nbytes for tensor in inputs)
    return height


class InStrips(nn.Module):
    def __init__(self, vae: decoding.Vae, tile: int) -> None:
        super().__init__()
        self.vae = vae
        self.tile = tile

    def forward(self, whole: Tensor) -> Tensor:
        # Without the check of `decode` that looks at the values: there are none.
        return decoding._in_strips(self.vae, whole, self.tile, None)


def footprint(width: int, height: int, *, float8_matmul: bool = True, table: bool = False) -> Footprint:
    return Footprint(
        architecture=replace(FLUX1, modulation_apart=table),
        prompt_tokens=PROMPT_TOKENS,
        width=width,
        height=height,
        float8_matmul=float8_matmul,
        coefficients=ALIVE,
    )


@pytest.mark.parametrize("float8_matmul", [True, False], ids=["float8", "upcast"])
@pytest.mark.parametrize("table", [True, False], ids=["modulation table", "no table"])
@pytest.mark.parametrize("size", [(256, 256), (512, 512), (1024, 1024), (1536, 640), (2048, 2048)], ids=str)
def test_denoising_is_said_to_need_what_its_blocks_keep_alive(
    size: tuple[int, int], float8_matmul: bool, table: bool
) -> None:
    said = footprint(*size, float8_matmul=float8_matmul, table=table)
    width, image = FLUX1.width, FLUX1.image_tokens(*size)
    heights = []
    for kind, first in ((FluxJointTransformerBlock, image), (FluxSingleTransformerBlock, said.tokens)):
        block = without_content(lambda kind=kind: kind(width, FLUX1.heads), float8=True)  # type: ignore[misc]
        use_float8_matmul(block, float8_matmul)
        if table:
            show_rows(block)
        rotation = empty(1, 1, said.tokens, FLUX1.head_width // 2, 2, 2, dtype=torch.float32)
        prompt, times = empty(1, PROMPT_TOKENS, width), empty(1, width)
        heights.append(alive(block, (empty(1, first, width), prompt, times, rotation)))
    assert max(heights) <= said.denoising <= max(heights) * 1.05


def show_rows(block: nn.Module) -> None:
    for row in BlockModulation(block).stands_in:
        row.row = empty(1, row.width)


@pytest.mark.parametrize("rows", [1, 20, 64])
def test_the_modulation_table_is_said_to_need_what_filling_it_keeps_alive(rows: int) -> None:
    width = FLUX1.width
    heights = []
    for kind in (FluxJointTransformerBlock, FluxSingleTransformerBlock):
        block = without_content(lambda kind=kind: kind(width, FLUX1.heads), float8=True)  # type: ignore[misc]
        modulation = BlockModulation(block)
        into = empty(rows, modulation.width)
        heights.append(alive(modulation, (empty(rows, width), into)) - into.nbytes)
    said = footprint(1024, 1024, table=True).modulating(rows)
    assert max(heights) <= said <= max(heights) * 1.02


def test_reading_a_prompt_is_said_to_need_what_t5_keeps_alive() -> None:
    t5 = without_content(FluxTextEncoderT5, float8=True)
    height = alive(t5, [empty(1, PROMPT_TOKENS, dtype=torch.int64)])
    said = footprint(1024, 1024).prompt_reading
    assert height <= said <= height * 1.06


@pytest.mark.parametrize("size", [(512, 512), (1024, 1024), (1536, 640)], ids=str)
def test_the_vae_is_said_to_need_what_it_keeps_alive(size: tuple[int, int]) -> None:
    width, height = size
    decoder, encoder = without_content(FluxVAEDecoder, float8=False), without_content(FluxVAEEncoder, float8=False)
    latents, pixels = empty(1, FLUX1.latent_channels, height // 8, width // 8), empty(1, 3, height, width)
    said = footprint(width, height)
    assert said.decoding(None) == pytest.approx(alive(decoder, [latents]), rel=0.01)
    assert said.encoding(None) == pytest.approx(alive(encoder, [pixels]), rel=0.01)


@pytest.mark.parametrize("size", [(1024, 1024), (1536, 640)], ids=str)
@pytest.mark.parametrize("tile", [256, 512])
def test_strips_are_said_to_need_what_they_keep_alive(size: tuple[int, int], tile: int) -> None:
    width, height = size
    decoder, encoder = without_content(FluxVAEDecoder, float8=False), without_content(FluxVAEEncoder, float8=False)
    latents, pixels = empty(1, FLUX1.latent_channels, height // 8, width // 8), empty(1, 3, height, width)
    said = footprint(width, height)
    decoding_alive = alive(InStrips(decoder, tile), [latents])
    encoding_alive = alive(InStrips(encoder, tile), [pixels])
    assert decoding_alive <= said.decoding(tile) * 1.01
    assert said.decoding(tile) <= decoding_alive * 1.1
    assert encoding_alive <= said.encoding(tile) * 1.01
    assert said.encoding(tile) <= encoding_alive * 1.1


def test_every_stage_needs_more_for_a_larger_picture_and_less_for_a_smaller_tile() -> None:
    sizes = [(side, side) for side in range(256, 2049, 256)]
    stages: list[Callable[[Footprint], int]] = [lambda f: f.denoising, lambda f: f.decoding(None)]
    for stage in stages:
        needs = [stage(footprint(*size)) for size in sizes]
        assert needs == sorted(needs)
    tiled = [footprint(2048, 2048).decoding(tile) for tile in (256, 384, 512, None)]
    assert tiled == sorted(tiled)


def test_the_allocator_takes_small_steps_and_large_ones() -> None:
    assert [allocated(size) for size in (0, 1, 512, MIB)] == [0, 512, 512, MIB]
    assert [allocated(size) for size in (MIB + 1, 2 * MIB, 2 * MIB + 1)] == [2 * MIB, 2 * MIB, 4 * MIB]


def test_what_was_measured_on_an_h100_is_what_is_estimated_for_it() -> None:
    speed = speed_of("NVIDIA H100 80GB HBM3", (9, 0))
    model = replace(FLUX1, modulation_apart=True)
    measured = {(512, 512): 0.070, (768, 512): 0.079, (768, 768): 0.108, (1024, 1024): 0.180, (1536, 1536): 0.413}
    for size, seconds in measured.items():
        whole = replace(footprint(*size), architecture=model, coefficients=COEFFICIENTS)
        assert whole.seconds(speed, copied=0, copy_rate=55e9) == pytest.approx(seconds, rel=0.15)
    streamed = replace(footprint(1024, 1024), architecture=model, coefficients=COEFFICIENTS)
    assert streamed.seconds(speed, copied=int(7.6 * 2**30), copy_rate=55e9) == pytest.approx(0.187, rel=0.05)


@pytest.mark.parametrize(
    ("name", "compute", "known"),
    [
        ("NVIDIA GeForce RTX 4090", (8, 9), "RTX 4090"),
        ("NVIDIA GeForce RTX 4090 D", (8, 9), "RTX 4090 D"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", (8, 9), "RTX 4070 Ti SUPER"),
        ("NVIDIA GeForce RTX 4070", (8, 9), "RTX 4070"),
        ("NVIDIA H100 PCIe", (9, 0), "H100 PCIe"),
        ("NVIDIA H100 80GB HBM3", (9, 0), "H100"),
        ("NVIDIA A100-SXM4-80GB", (8, 0), "A100"),
    ],
)
def test_a_card_is_known_by_the_longest_name_that_fits(name: str, compute: tuple[int, int], known: str) -> None:
    assert speed_of(name, compute) == KNOWN[known]


def test_a_laptops_card_is_slower_and_an_unknown_one_is_taken_as_a_modest_one_of_its_generation() -> None:
    assert speed_of("NVIDIA GeForce RTX 4090 Laptop GPU", (8, 9)).float8 < KNOWN["RTX 4090"].float8
    assert speed_of("Some Card", (8, 9)).float8 < KNOWN["RTX 4070"].float8
    assert speed_of("Some Card", (12, 0)).float8 > speed_of("Some Card", (8, 6)).float8
    assert speed_of("Some Card", (6, 1)).bf16 < speed_of("Some Card", (8, 6)).bf16
