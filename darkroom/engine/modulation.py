"""Modulation: what a transformer's blocks make of time, pooled prompt and guidance, computed for many passes at once.

Those layers see one row a pass, and nothing of the picture. In their blocks stand layers that answer with a row of a
table. Must not know: where weights are, or what a picture is made of.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from darkroom.engine.float8 import use_float8_matmul

# One pass's time, pooled prompt and guidance, by their content.
Key: TypeAlias = tuple[float, bytes, bytes]

# Where FLUX's blocks have layers that see one row a pass.
NORMS = ("norm1_a", "norm1_b", "norm")


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """The passes of one picture: for each of `timesteps` (one dimension) in turn, one with each of `pooled` in turn.

    `guidance` is that of all. Tensors as the transformer gets them, but for the timesteps, which are the scheduler's.
    """

    timesteps: Tensor
    pooled: tuple[Tensor, ...]
    guidance: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """One pass: the step's number, and the very tensors that the transformer gets in it."""

    step: int
    pooled: Tensor
    guidance: Tensor


class ModulationRow(nn.Module):
    """Stands in a block where `layer` stood: answers with `row` while one is shown, else with what `layer` says.

    A shown row always lies at the same place in memory, and choosing it looks at no values.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.width: int = layer.out_features  # type: ignore[assignment]
        self.row: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        if self.row is not None and len(hidden) == 1:
            return self.row
        weights = dict((*self.layer.named_parameters(), *self.layer.named_buffers()))
        # If they are at home and not expected on the card: a copy for this once.
        visiting = {name: tensor.to(hidden.device) for name, tensor in weights.items()}
        answer: Tensor = functional_call(self.layer, visiting, (hidden,))
        return answer


class BlockModulation(nn.Module):
    """The modulation layers of one block, as a unit of their own. Takes their places in the block."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stands_in = tuple(_exchanged(norm) for norm in _norms(block))
        self.parts = nn.ModuleList(self.stands_in)
        self.width = sum(row.width for row in self.stands_in)

    def forward(self, hidden: Tensor, into: Tensor) -> None:
        """For each row of `hidden` one of `into`, which is `width` wide."""
        start = 0
        for row in self.stands_in:
            into[:, start : start + row.width] = row.layer(hidden)
            start += row.width


class ModulationTable:
    """The rows for the passes of a picture. `expect` a schedule; for each pass `fill` what it `lacks`, then `showing`.

    The rows outlive the picture, for one whose passes are all the same. Not for several threads.
    """

    def __init__(self, transformer: Any) -> None:
        """Exchanges layers of DiffSynth's FluxDiT, or of one like it; their weights stay as they are."""
        self._transformer = transformer
        self.parts = tuple(BlockModulation(block) for block in (*transformer.blocks, *transformer.single_blocks))
        self._schedule: Schedule | None = None
        self._coming: tuple[Key, ...] = ()
        self._most_rows = 0
        self._filled_for: tuple[tuple[Key, ...], int] | None = None
        self._rows: Tensor | None = None
        self._places: dict[Key, int] = {}
        self._current: Tensor | None = None
        self._shown: Pass | None = None
        # Should the pipeline go on with another prompt than it said, the row is not for it.
        transformer.pooled_text_embedder.register_forward_pre_hook(self._hide_from_others)

    @property
    def card_bytes(self) -> int:
        """Wherever it computes: the rows, and the one whose turn it is."""
        return sum(tensor.nbytes for tensor in (self._rows, self._current) if tensor is not None)

    @property
    def rows(self) -> int:
        return len(self._places)

    def expect(self, schedule: Schedule, *, most_rows: int) -> None:
        """Passes to come, and how many rows may be held. Waits for the card: what was the same before must be known."""
        guidance, sides = _content(schedule.guidance), [_content(pooled) for pooled in schedule.pooled]
        times: list[float] = schedule.timesteps.tolist()
        self._schedule, self._most_rows = schedule, most_rows
        self._coming = tuple((time, side, guidance) for time in times for side in sides)
        # A row's last bits depend on how many are computed with it, and a picture must not depend on the one before.
        if self._filled_for != (self._coming, most_rows):
            self.forget()

    def lacks(self, turn: Pass) -> bool:
        """Whether the pass is in the schedule, and its row not in the table."""
        place = self._place(turn)
        return place is not None and self._coming[place] not in self._places

    @property
    def complete(self) -> bool:
        """Whether it has a row for each pass of the schedule."""
        return all(key in self._places for key in self._coming)

    def passes_from(self, turn: Pass) -> int:
        """How many passes of the schedule are still to come, this one included."""
        return len(self._coming) - (self._place(turn) or 0)

    def fill(self, turn: Pass) -> None:
        """Compute the rows of this pass and of others near it, as many as may be held. What was held before goes."""
        place = self._place(turn)
        assert place is not None
        first = self._first_beside(place)
        self.forget()
        # In the same order as the passes, each once.
        places = {key: place for place, key in reversed([*enumerate(self._coming)][first:])}
        keys = list(dict.fromkeys(self._coming[first:]))[: self._most_rows]
        hidden = functional.silu(self._conditions([places[key] for key in keys]))
        rows = hidden.new_empty(len(keys), sum(part.width for part in self.parts))
        start = 0
        for part in self.parts:
            # More rows than a few may be float8's business elsewhere; these decide how every token is scaled.
            use_float8_matmul(part, enabled=False)
            part(hidden, rows[:, start : start + part.width])
            start += part.width
        self._rows, self._places = rows, {key: number for number, key in enumerate(keys)}
        self._filled_for = (self._coming, self._most_rows)

    @contextmanager
    def showing(self, turn: Pass) -> Iterator[None]:
        """Inside, the blocks' layers answer with the pass's row; as without a table, if it has none."""
        place = self._place(turn)
        number = None if place is None else self._places.get(self._coming[place])
        if number is None or self._rows is None:
            yield
            return
        current = self._room_for_one(self._rows)
        current.copy_(self._rows[number])
        self._show(current)
        self._shown = turn
        try:
            yield
        finally:
            self._hide()

    def rest(self) -> None:
        """The picture is made, or will not be. The rows stay."""
        self._hide()
        self._schedule, self._coming = None, ()

    def forget(self) -> None:
        """Weights have changed, or the room is needed for other rows."""
        self._hide()
        self._rows, self._places, self._filled_for = None, {}, None

    def drop(self) -> None:
        """Nothing is left on the card."""
        self.rest()
        self.forget()
        self._current = None

    def _place(self, turn: Pass) -> int | None:
        """Of the pass in the schedule, if its tensors are the schedule's."""
        schedule = self._schedule
        if schedule is None or turn.guidance is not schedule.guidance or not 0 <= turn.step < len(schedule.timesteps):
            return None
        sides = [side for side, pooled in enumerate(schedule.pooled) if pooled is turn.pooled]
        return turn.step * len(schedule.pooled) + sides[0] if sides else None

    def _first_beside(self, place: int) -> int:
        """The first of the passes whose rows are computed together with this one's, wherever the picture began."""
        first, beside = 0, set[Key]()
        for each in range(place + 1):
            if self._coming[each] not in beside:
                if len(beside) == self._most_rows:
                    first, beside = each, set()
                beside.add(self._coming[each])
        return first

    def _conditions(self, places: Sequence[int]) -> Tensor:
        """What the blocks get in these passes, a row for each: by the transformer's own parts, exactly as it does it.

        One pass at a time, so that each row is bit by bit what it would be in its pass.
        """
        schedule = self._schedule
        assert schedule is not None
        transformer, guidance, dtype = self._transformer, schedule.guidance, schedule.guidance.dtype
        steps = sorted({place // len(schedule.pooled) for place in places})
        times = {
            step: transformer.time_embedder(schedule.timesteps[step : step + 1].to(guidance.device, dtype), dtype)
            for step in steps
        }
        sides = [transformer.pooled_text_embedder(pooled) for pooled in schedule.pooled]
        rows = [times[place // len(sides)] + sides[place % len(sides)] for place in places]
        if transformer.guidance_embedder is not None:
            guided = transformer.guidance_embedder(guidance * 1000, dtype)
            rows = [row + guided for row in rows]
        return torch.cat(rows)

    def _room_for_one(self, rows: Tensor) -> Tensor:
        if self._current is None or (self._current.device, self._current.dtype) != (rows.device, rows.dtype):
            # What is made in inference mode could not be written outside it.
            with torch.inference_mode(False):
                self._current = rows.new_empty(rows.shape[1])
        return self._current

    def _show(self, current: Tensor) -> None:
        stands_in = [row for part in self.parts for row in part.stands_in]
        for row, view in zip(stands_in, torch.split(current, [row.width for row in stands_in]), strict=True):
            row.row = view[None]

    def _hide(self) -> None:
        self._shown = None
        for part in self.parts:
            for row in part.stands_in:
                row.row = None

    def _hide_from_others(self, _embedder: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._shown is not None and inputs[0] is not self._shown.pooled:
            self._hide()


def _norms(block: nn.Module) -> Iterator[nn.Module]:
    return (getattr(block, name) for name in NORMS if hasattr(block, name))


def _exchanged(norm: Any) -> ModulationRow:
    norm.linear = ModulationRow(norm.linear)
    stands_in: ModulationRow = norm.linear
    return stands_in


def _content(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
