"""StepCache: a step that would change little takes over what the blocks made of the step before (TeaCache).

How much it would change is guessed from what the first block is given (arXiv 2411.19108). DiffSynth asks the cache
before the blocks run, by the names of its own. Must not know: where weights are, or how the blocks work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from darkroom.architecture import DEMO, FLUX1, Architecture

# In fewer steps each changes too much to be left out.
FEWEST_STEPS = 6

# From how much the first block's input changes to how much its last one's output does: a polynomial, the highest power
# first. For FLUX.1 as TeaCache's authors publish it, and as DiffSynth has it; for the demo model as
# `python -m benchmarks.presets --fit` finds it.
Curve: TypeAlias = tuple[float, ...]
CURVES: Mapping[Architecture, Curve] = {
    FLUX1: (4.98651651e02, -2.83781631e02, 5.58554382e01, -3.82021401e00, 2.64230861e-01),
    DEMO: (68.52, -6.999, 0.2396),
}


def curve_of(architecture: Architecture) -> Curve:
    """FLUX.1's for all that are trained from it."""
    return CURVES.get(architecture, CURVES[FLUX1])


class StepCache:
    """Of one picture, made with one pass in each of `steps`. `turn` before each pass; first and last are always made.

    A step is made once the guessed changes since the last one made add up to `threshold`. `at_rest` is called before
    a layer of the first block is used outside of that block's turn. Every question waits for the device.
    """

    def __init__(self, threshold: float, steps: int, curve: Curve, at_rest: Callable[[], None] = lambda: None) -> None:
        self._threshold, self._steps, self._curve, self._at_rest = threshold, steps, curve, at_rest
        self._step = 0
        self._change = 0.0
        self._given: Tensor | None = None
        self._before: Tensor | None = None
        self._made: Tensor | None = None
        # The numbers of the steps that were made, the first being 0.
        self.computed: list[int] = []

    @property
    def skipped(self) -> bool:
        """Whether the step whose turn it is was not made."""
        return self._step not in self.computed

    def turn(self, step: int) -> None:
        self._step = step

    def state(self) -> tuple[dict[str, Tensor], list[float]]:
        """All that the steps to come depend on."""
        tensors = {"given": self._given, "made": self._made}
        held = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        return held, [self._change, *self.computed]

    def go_on(self, tensors: Mapping[str, Tensor], figures: Sequence[float]) -> None:
        """As if the steps until now had been made here, from the `state` of whoever made them."""
        self._given, self._made = tensors.get("given"), tensors.get("made")
        self._change, self.computed = figures[0], [int(number) for number in figures[1:]]

    # --- called by DiffSynth, by these names

    def check(self, dit: Any, hidden_states: Tensor, conditioning: Tensor) -> bool:
        """Whether this step is not to be made."""
        self._at_rest()
        given: Tensor = dit.blocks[0].norm1_a(hidden_states, emb=conditioning)[0]
        if self._given is not None:
            # One number, by one wait for the device.
            change = (given - self._given).abs().mean() / self._given.abs().mean()
            self._change += guessed_change(self._curve, float(change))
        self._given = given
        inner = 0 < self._step < self._steps - 1
        if inner and self._made is not None and self._change < self._threshold:
            return True
        self._change = 0.0
        self._before, self._made = hidden_states, None
        self.computed.append(self._step)
        return False

    def store(self, hidden_states: Tensor) -> None:
        """What the blocks have made of `check`'s `hidden_states`."""
        assert self._before is not None
        self._made, self._before = hidden_states - self._before, None

    def update(self, hidden_states: Tensor) -> Tensor:
        assert self._made is not None
        return hidden_states + self._made


def guessed_change(curve: Curve, change: float) -> float:
    value = 0.0
    for factor in curve:
        value = value * change + factor
    return max(value, 0.0)


def step_cache_for(
    threshold: float, *, steps: int, curve: Curve, at_rest: Callable[[], None] = lambda: None
) -> StepCache | None:
    """None where it would do nothing."""
    if not threshold or steps < FEWEST_STEPS:
        return None
    return StepCache(threshold, steps, curve, at_rest)
