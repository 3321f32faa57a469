"""Fused blocks: what DiffSynth's blocks compute in float8, scaled by what the step before saw."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
import torch
from diffsynth.models.flux_dit import FluxJointTransformerBlock, FluxSingleTransformerBlock, RoPEEmbedding
from torch import Tensor, nn

from darkroom.engine.float8 import LARGEST, LARGEST_ACTIVATION, Float8Linear, LowRank, quantize, use_float8_matmul
from darkroom.engine.fused_block import FusedBlock
from darkroom.engine.fused_stage import FusedStage
from darkroom.engine.modulation import BlockModulation
from darkroom.engine.operations import TorchOperations
from darkroom.engine.peaks import Peaks
from darkroom.engine.replays import NoReplays

WIDTH, HEADS, WORDS, PIXELS = 256, 4, 48, 112
CPU = torch.device("cpu")
# What two ways to round to float8 may differ by, of the norm of a block's result.
ALIKE = 0.006


class Counted(NoReplays):
    """Remembers by which keys work was done."""

    def __init__(self) -> None:
        self.keys: list[Hashable] = []

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        self.keys.append(key)
        super().run(key, work)


class Owner:
    """What a fused block belongs to."""

    def __init__(self, layers: int) -> None:
        self.stage: FusedStage | None = FusedStage(Peaks(layers, CPU), words=WORDS, pixels=PIXELS)
        self.stage.replays = Counted()
        self.gave_up: list[str] = []

    def give_up(self, why: str, *, lasting: bool) -> None:  # noqa: ARG002
        self.stage = None
        self.gave_up.append(why)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.fixture(params=[True, False], ids=["joint", "single"])
def joint(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def block_of(*, joint: bool, rank: int = 0) -> Any:
    block: Any = (FluxJointTransformerBlock if joint else FluxSingleTransformerBlock)(WIDTH, HEADS).bfloat16()
    for name, layer in list(block.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, last = name.rpartition(".")
            made = Float8Linear(*quantize(layer.weight.data), layer.bias.data)
            if rank and "norm" not in name:
                down, up = torch.randn(rank, layer.in_features), torch.randn(layer.out_features, rank) / 6000
                made.low_rank = LowRank(down.bfloat16(), up.bfloat16(), *quantize(down))
            setattr(block.get_submodule(parent), last, made)
    BlockModulation(block)
    use_float8_matmul(block, enabled=True)
    return block


def inputs(*, joint: bool, size: float = 1.0) -> tuple[Tensor, ...]:
    hidden, prompt = (size * torch.randn(1, tokens, WIDTH).bfloat16() for tokens in (PIXELS, WORDS))
    places = torch.stack([torch.zeros(WORDS + PIXELS), *(torch.arange(WORDS + PIXELS) % n for n in (12, 16))], -1)
    rope = RoPEEmbedding(WIDTH // HEADS, 10_000, [16, 24, 24])(places[None])
    both = hidden if joint else torch.cat([prompt, hidden], dim=1)
    return both, prompt, torch.randn(1, WIDTH).bfloat16(), rope


def fused(block: Any, *, joint: bool) -> Owner:
    owner = Owner(40)
    FusedBlock(owner, block, TorchOperations(), joint=joint, first_layer=3)
    return owner


def copies(results: Any) -> list[Tensor]:
    """Before the next pass changes them."""
    return [part.clone() for part in results]


def difference(results: Any, others: Any) -> float:
    return max(
        float((one.float() - other.float()).norm() / other.float().norm())
        for one, other in zip(results, others, strict=True)
    )


@pytest.mark.parametrize("rank", [0, 16, 80], ids=["no LoRA", "rank 16", "a rank without a kernel"])
def test_a_fused_block_computes_what_diffsynths_does_in_its_first_step_and_in_later_ones(
    joint: bool, rank: int
) -> None:
    block, given = block_of(joint=joint, rank=rank), inputs(joint=joint)
    plain = block(*given)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    results = []
    for _ in range(3):
        owner.stage.peaks.turn(given[0])
        results.append(copies(block(*given)))
    assert 0 < difference(results[0], plain) < ALIKE
    assert difference(results[1], results[0]) == difference(results[2], results[0]) == 0
    assert owner.gave_up == []


def test_a_row_of_modulation_takes_the_place_of_its_layer(joint: bool) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    owner.stage.peaks.turn(given[0])
    plain = copies(block(*given))
    for norm in (block.norm1_a, block.norm1_b) if joint else (block.norm,):
        norm.linear.row = norm.linear(nn.functional.silu(given[2]))
        norm.linear.layer = None
    assert difference(block(*given), plain) == 0


def test_what_grows_by_less_than_1_75_in_a_step_is_not_cut_off(joint: bool) -> None:
    assert LARGEST / LARGEST_ACTIVATION == 1.75
    block, given = block_of(joint=joint), inputs(joint=joint)
    # Norms are of one size whatever comes in; what is not normed is the feed-forward.
    larger = (*given[:2], 1.2 * given[2], given[3])
    plain = block(*larger)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    for each in (given, larger):
        owner.stage.peaks.turn(given[0])
        result = block(*each)
    assert difference(result, plain) < 1.5 * ALIKE


def test_each_side_of_true_guidance_remembers_its_own_and_a_step_that_is_skipped_forgets_nothing(joint: bool) -> None:
    block, small, large = block_of(joint=joint), inputs(joint=joint), inputs(joint=joint)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    results = []
    for _ in range(2):
        for given in (small, large):
            owner.stage.peaks.turn(given[1])
            results.append(copies(block(*given)))
    owner.stage.peaks.turn(small[1])
    owner.stage.peaks.turn(small[1])
    results.append(copies(block(*small)))
    for later, earlier in ((2, 0), (3, 1), (4, 0)):
        assert difference(results[later], results[earlier]) == 0


def test_an_infinity_shows_in_the_next_step_and_does_not_stay_hidden(joint: bool) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    owner.stage.peaks.turn(given[0])
    block(*given)
    broken = given[0].clone()
    broken[0, 3, 3] = torch.inf
    for hidden in (broken, given[0]):
        owner.stage.peaks.turn(given[0])
        result = block(hidden, *given[1:])
    assert any(part.isnan().any() for part in result)


def test_a_kernel_that_fails_leaves_the_block_to_diffsynths_code(joint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    plain = block(*given)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    owner.stage.peaks.turn(given[0])

    def fail(*_given: object, **_more: object) -> None:
        raise RuntimeError("the kernel cannot be started\nat all")

    monkeypatch.setattr(TorchOperations, "turn", fail)
    assert difference(block(*given), plain) == 0
    assert owner.gave_up == ["the kernel cannot be started"]


def test_what_was_not_announced_is_left_to_diffsynths_code(joint: bool) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    owner.stage.peaks.turn(given[0])
    block(*given, attn_mask=torch.zeros(1, 1, WORDS + PIXELS, WORDS + PIXELS).bfloat16())
    assert owner.gave_up == ["the picture is not what was announced"]


def test_work_is_kept_once_scales_are_settled_and_modulation_is_a_row_and_never_for_another_place(joint: bool) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    replays = owner.stage.replays
    assert isinstance(replays, Counted)
    norms = (block.norm1_a, block.norm1_b) if joint else (block.norm,)
    for has_row in (False, False, True, True):
        for norm in norms if has_row else ():
            norm.linear.row = norm.linear.layer(nn.functional.silu(given[2]))
        owner.stage.peaks.turn(given[0])
        block(*given)
    elsewhere = (block.attn.b_to_qkv if joint else block.to_qkv_mlp).stored
    elsewhere.data = elsewhere.data.clone()
    block(*given)
    assert replays.keys[:2] == [None, None]
    assert replays.keys[2] == replays.keys[3] is not None
    assert replays.keys[4] not in (None, replays.keys[3])


def test_what_a_block_was_given_is_left_as_it_is(joint: bool) -> None:
    block, given = block_of(joint=joint), inputs(joint=joint)
    before = copies(given)
    owner = fused(block, joint=joint)
    assert owner.stage is not None
    owner.stage.peaks.turn(given[0])
    block(*given)
    assert all(torch.equal(one, other) for one, other in zip(given, before, strict=True))
