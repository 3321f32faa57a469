"""Residence: which of a model's weights are on the card in each stage of a picture, as the plan says.

All of them rest in RAM. Blocks visit the card through the stream's ring, the other parts as a whole; nothing is ever
copied back. Must not know: requests, or how a plan is found.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.engine.mapped_file import Between
from darkroom.engine.modulation import ModulationTable, Pass, Schedule
from darkroom.engine.resting import Layout, Unit
from darkroom.engine.streaming import BlockStream
from darkroom.planner import Plan

TEXT_ENCODERS = ("text_encoder_1", "text_encoder_2")
VAE = ("vae_encoder", "vae_decoder")
PARTS = (*TEXT_ENCODERS, "dit", *VAE)


class Residence:
    """`models` by their names in the pipeline. `begin`, then `enter` each stage, then `leave`, however it ended.

    Each pass of the transformer is made in its `turn`, after `expect` has said which passes there will be. A unit comes
    from its file when it is first needed, a text encoder's before the transformer's.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        device: torch.device,
        *,
        units: Mapping[nn.Module, Unit] | None = None,
        loading: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`units`: of models that were in another residence before. `loading` is told, often, which part is coming from
        its file, while that is waited for; it may raise."""
        self._device = device
        self._units = dict(units or {})
        self._loading = loading
        # The part that is waited for, if one is.
        self._coming = ""
        reader: Any = models["text_encoder_2"]
        transformer: Any = models["dit"]
        self._t5_blocks: list[nn.Module] = list(reader.encoder.block)
        self._dit_blocks: list[nn.Module] = [*transformer.blocks, *transformer.single_blocks]
        self.table = ModulationTable(transformer)
        self._arrange(with_table=True)
        # The vocabulary is looked up where it rests: a prompt needs a few hundred of its rows.
        vocabulary = reader.encoder.embed_tokens
        without = {"text_encoder_2": (*self._t5_blocks, vocabulary), "dit": tuple(self._dit_blocks)}
        self._guests = {name: Guest(self._unit(models[name], without=without.get(name, ())), device) for name in PARTS}
        self._hooks = (
            vocabulary.register_forward_pre_hook(_to_where_it_rests),
            vocabulary.register_forward_hook(self._to_the_card),
        )
        self._plan: Plan | None = None
        self._passes = 0
        self._ring_is_open: bool | None = None
        self._may_pin = True
        # What the table is filled from: the weights, and what was said of the prompts.
        self._table_weights: tuple[Layout, ...] = ()
        self._table_label: Hashable = None
        self._label: Hashable = None
        # Modulation is expected in the ring.
        self._modulates = False

    @property
    def bytes(self) -> int:
        """Of all units, at rest."""
        return sum(unit.bytes for unit in self._every_unit())

    @property
    def unread(self) -> int:
        """Bytes of units that have not come from their files yet."""
        return sum(unit.unread for unit in self._every_unit())

    @property
    def card_bytes(self) -> int:
        """Weights on the card, the ring and the modulation table included."""
        guests = sum(guest.card_bytes for guest in self._guests.values())
        return self._stream.card_bytes + guests + self.table.card_bytes

    @property
    def unit_bytes(self) -> tuple[int, ...]:
        """Of each block of the transformer, in running order."""
        return tuple(self._stream.units[place].bytes for place in self._blocks)

    @property
    def modulation_bytes(self) -> tuple[int, ...]:
        """Of each block's modulation where it is apart, in the same order."""
        return tuple(self._stream.units[place].bytes for place in self._modulation)

    def part_bytes(self, name: str) -> int:
        """Of a part, without its blocks."""
        return self._guests[name].bytes

    def begin(self, plan: Plan, *, prompts: int, passes: int, label: Hashable = None) -> None:
        """`prompts` will be read, and the transformer will run `passes` times. Raises torch.OutOfMemoryError.

        `label` stands for all that the modulation table depends on but the weights. Where it is that of the picture
        before, no modulation is awaited in the ring; whether the table is really the same is seen when it is used.
        """
        self.leave()
        if self._is_arranged_with_table is not bool(plan.table_rows):
            self.drop()
            self._arrange(with_table=bool(plan.table_rows))
        if self.table.rows > plan.table_rows or self._weights() != self._table_weights:
            self.table.forget()
            self._table_label = None
        self._plan, self._label = plan, label
        if plan.device == "cpu":
            return
        self._limit(plan.promised_vram)
        known = self.table.rows > 0 and label is not None and label == self._table_label
        self._modulates = plan.table_rows > 0 and not known
        for name, guest in self._guests.items():
            if not self._stays(name):
                guest.rest()
        kept = [*self._t5] if "text_encoder_2" in plan.stays else []
        # What is lent comes last: it leaves one room beside the ring's, and not many holes.
        kept += [self._blocks.start + place for place in plan.resident if place not in plan.lent]
        kept += [self._blocks.start + place for place in plan.lent]
        if not self._stream.kept <= set(kept):
            # Beside holes that others left, what comes would take more than was promised.
            self._stream.keep(())
        self._stream.keep(kept)
        for name in PARTS:
            if self._stays(name):
                self._visit(name)
        self._passes = passes
        self._open(prompts=prompts)

    def enter(self, names: Collection[str]) -> None:
        """Of the parts that do not stay, only these are on the card from now on."""
        if self._plan is None or self._plan.device == "cpu":
            return
        for name, guest in self._guests.items():
            if name not in names and not self._stays(name):
                guest.rest()
        if set(VAE) & set(names):
            # The ring's memory is for the VAE's work now.
            self._close()
            if "vae_decoder" in names:
                self._stream.keep(self._stream.kept - {self._blocks.start + place for place in self._plan.lent})
        elif "dit" in names:
            # The ring was T5's alone, or the VAE had its memory.
            self._match_ring()
        self._give_back()
        for name in names:
            if name in self._guests:
                self._visit(name)

    def expect(self, schedule: Schedule) -> None:
        """The passes of the transformer that this picture will take."""
        if self._plan is not None and self._plan.table_rows:
            self.table.expect(schedule, most_rows=self._plan.table_rows)

    @contextmanager
    def turn(self, turn: Pass) -> Iterator[None]:
        """Inside, the transformer makes this pass. If the modulation table has no row for it yet, it has afterwards."""
        if self.table.lacks(turn):
            self._passes = self.table.passes_from(turn)
            self._await_modulation()
            self.table.fill(turn)
            self._table_weights = self._weights()
            self._table_label = self._label if self.table.complete else None
        self._end_modulation()
        with self.table.showing(turn):
            yield

    def skip(self) -> None:
        """No block runs in this pass: what was copied ahead for it is for the next one."""
        self._passes -= 1

    def first_block_at_rest(self) -> None:
        """Its modulation may be used outside of its turn; on the card it may show what the ring has by now."""
        if not self._is_arranged_with_table:
            self._stream.units[self._blocks.start].go_home()

    def leave(self) -> None:
        """The picture is made, or will not be. What stays stays. Safe to call again."""
        self._limit(None)
        self._modulates = False
        self.table.rest()
        self._close()
        for name, guest in self._guests.items():
            if not self._stays(name):
                guest.rest()
        self._give_back()

    def reread(self) -> None:
        """Weights of the transformer were changed, after `drop`: the modulation table is not that of before."""
        for place in (*self._modulation, *self._blocks):
            self._stream.units[place].refresh()
        self._guests["dit"].unit.refresh()

    def release(self, names: Collection[str]) -> dict[nn.Module, Unit]:
        """Nothing of this is used any more. The units of these parts, for another residence that has them too."""
        self.drop()
        for hook in self._hooks:
            hook.remove()
        kept = {self._guests[name].unit.module for name in names}
        if "text_encoder_2" in names:
            kept |= set(self._t5_blocks)
        return {module: unit for module, unit in self._units.items() if module in kept}

    def drop(self) -> None:
        """Nothing is left on the card."""
        self._plan = None
        self.leave()
        self.table.drop()
        self._table_label = None
        self._stream.drop()

    def _arrange(self, *, with_table: bool) -> None:
        """Which units there are: with a table, modulation is apart from its blocks. Nothing may be on the card."""
        self._is_arranged_with_table = with_table
        modulation = self.table.parts if with_table else ()
        t5, blocks = self._t5_blocks, self._dit_blocks
        for module in (*self.table.parts, *blocks):
            # What it had settled in would be held beside what it settles in now.
            self._units.pop(module, None)
        units = [self._unit(block) for block in (*t5, *modulation)]
        self._t5, self._modulation = range(len(t5)), range(len(t5), len(units))
        self._blocks = range(len(units), len(units) + len(blocks))
        units += [self._unit(block, without=modulation) for block in blocks]
        self._stream = BlockStream(units, self._device, prepare=self._prepare, meanwhile=self._still_coming)

    def _weights(self) -> tuple[Layout, ...]:
        """Others where weights that the table depends on were read again."""
        units = (self._guests["dit"].unit, *(self._stream.units[place] for place in self._modulation))
        return tuple(unit.layout for unit in units)

    def _await_modulation(self) -> None:
        if self._plan is None or self._plan.device == "cpu" or self._modulates:
            return
        self._modulates = True
        if self._ring_is_open:
            self._stream.expect(self._order(prompts=0))
        else:
            self._match_ring()

    def _end_modulation(self) -> None:
        """Its weights are at home from now on, and the ring is there only if blocks need it."""
        if not self._modulates:
            return
        self._modulates = False
        for place in self._modulation:
            self._stream.units[place].go_home()
        if self._match_ring():
            self._give_back()

    def _match_ring(self) -> bool:
        """Open or close the ring as what comes before the VAE needs it. Whether that was a change."""
        changes = self._ring_is_open is not (self._modulates or self._streams(self._blocks))
        if changes:
            self._close()
            self._open(prompts=0)
        return changes

    def _open(self, *, prompts: int) -> None:
        assert self._plan is not None
        streams = self._modulates or self._streams(self._blocks) or (prompts > 0 and self._streams(self._t5))
        self._ring_is_open = streams
        self._stream.open(slots=self._plan.slots if streams else 0, slot_bytes=self._plan.slot_bytes)
        self._stream.expect(self._order(prompts=prompts))

    def _order(self, *, prompts: int) -> Iterator[int]:
        modulation = (self._modulation,) if self._modulates else ()
        order = chain(repeat(self._t5, prompts), modulation, self._rounds())
        return chain.from_iterable(order)

    def _rounds(self) -> Iterator[range]:
        """The blocks once for each pass that is still to come. Read as copies go ahead: `skip` may come in between."""
        begun = 0
        while begun < self._passes:
            begun += 1
            yield self._blocks

    def _close(self) -> None:
        self._ring_is_open = None
        self._stream.close()

    def _streams(self, places: Iterable[int]) -> bool:
        return any(place not in self._stream.kept for place in places)

    def _stays(self, name: str) -> bool:
        if self._plan is None or self._plan.device == "cpu":
            return False
        return name == "dit" or name in self._plan.stays or (name in VAE and "vae" in self._plan.stays)

    def _unit(self, module: nn.Module, *, without: tuple[nn.Module, ...] = ()) -> Unit:
        """The one there is, with the memory it has settled in."""
        known = self._units.get(module)
        if known is None or known.without != without:
            known = self._units[module] = Unit(module, without=without)
        return known

    def _every_unit(self) -> Iterator[Unit]:
        return chain(self._stream.units, (guest.unit for guest in self._guests.values()))

    def _prepare(self, place: int) -> None:
        """Pin what comes more than once. When the system allows no more it is not asked again; the rest goes through
        staging."""
        self._coming = "text_encoder_2" if place in self._t5 else "transformer"
        unit = self._stream.units[place]
        if unit.flat is not None or not self._may_pin or self._plan is None or self._plan.weights != "pinned":
            return
        if place not in self._stream.kept or place - self._blocks.start in self._plan.lent:
            unit.settle(pin=True, between=self._still_coming)
            self._may_pin = unit.pinned or self._device.type != "cuda"
            self._still_coming()

    def _visit(self, name: str) -> None:
        self._coming = {"dit": "transformer"}.get(name, "vae" if name in VAE else name)
        self._guests[name].visit(between=self._still_coming)

    def _still_coming(self) -> None:
        self._loading(self._coming)

    def _to_the_card(self, _module: nn.Module, _inputs: object, rows: Tensor) -> Tensor:
        return rows.to(self._device) if self._plan is not None and self._plan.device == "cuda" else rows

    def _limit(self, size: int | None) -> None:
        """torch's allocator keeps to what was promised: rather than take more, it gives back what it holds unused."""
        if self._device.type == "cuda":
            total = torch.cuda.get_device_properties(self._device).total_memory
            place = self._device.index if self._device.index is not None else torch.cuda.current_device()
            share = 1.0 if size is None else min(1.0, size / total)
            torch.cuda.set_per_process_memory_fraction(share, place)

    def _give_back(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class Guest:
    """A part of the model that comes to the card as a whole, and goes as a whole."""

    def __init__(self, unit: Unit, device: torch.device) -> None:
        self.unit = unit
        self._device = device
        self._room: Tensor | None = None

    @property
    def bytes(self) -> int:
        return self.unit.bytes

    @property
    def card_bytes(self) -> int:
        return 0 if self._room is None else self._room.nbytes

    def visit(self, *, between: Between) -> None:
        if self._room is not None or not self.unit.bytes:
            return
        self.unit.settle(pin=self._device.type == "cuda", between=between)
        assert self.unit.flat is not None
        self._room = self.unit.flat.to(self._device, non_blocking=True, copy=True)
        self.unit.point_at(self._room)

    def rest(self) -> None:
        self.unit.go_home()
        self._room = None


def _to_where_it_rests(vocabulary: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].to(next(vocabulary.parameters()).device),)
