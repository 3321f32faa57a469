"""Residence: which of a model's weights are on the card in each stage of a picture, as the plan says.

All of them rest in RAM. Blocks visit the card through the stream's ring, the other parts as a whole; nothing is ever
copied back. Must not know: requests, or how a plan is found.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.engine.resting import Unit
from darkroom.engine.streaming import BlockStream
from darkroom.planner import Plan

TEXT_ENCODERS = ("text_encoder_1", "text_encoder_2")
VAE = ("vae_encoder", "vae_decoder")
PARTS = (*TEXT_ENCODERS, "dit", *VAE)


class Residence:
    """`models` by their names in the pipeline. `begin`, then `enter` each stage, then `leave`, however it ended."""

    def __init__(self, models: Mapping[str, nn.Module], device: torch.device) -> None:
        self._device = device
        reader: Any = models["text_encoder_2"]
        transformer: Any = models["dit"]
        t5_blocks = list(reader.encoder.block)
        blocks = [*transformer.blocks, *transformer.single_blocks]
        self._t5 = range(len(t5_blocks))
        self._blocks = range(len(t5_blocks), len(t5_blocks) + len(blocks))
        self._stream = BlockStream([Unit(block) for block in (*t5_blocks, *blocks)], device)
        # The vocabulary is looked up where it rests: a prompt needs a few hundred of its rows.
        vocabulary = reader.encoder.embed_tokens
        without = {"text_encoder_2": (*t5_blocks, vocabulary), "dit": tuple(blocks)}
        self._guests = {name: Guest(Unit(models[name], without=without.get(name, ())), device) for name in PARTS}
        vocabulary.register_forward_pre_hook(_to_where_it_rests)
        vocabulary.register_forward_hook(self._to_the_card)
        self._plan: Plan | None = None
        self._passes = 0
        self._ring_is_open: bool | None = None
        self._may_pin = True

    @property
    def card_bytes(self) -> int:
        """Weights on the card, the ring included."""
        return self._stream.card_bytes + sum(guest.card_bytes for guest in self._guests.values())

    @property
    def unit_bytes(self) -> tuple[int, ...]:
        """Of each block of the transformer, in running order."""
        return tuple(self._stream.units[place].bytes for place in self._blocks)

    def part_bytes(self, name: str) -> int:
        """Of a part, without its blocks."""
        return self._guests[name].bytes

    @property
    def pinned(self) -> bool:
        """Whether all that streams under the plan is pinned."""
        return all(unit.pinned for place, unit in enumerate(self._stream.units) if place not in self._stream.kept)

    def begin(self, plan: Plan, *, prompts: int, passes: int) -> None:
        """`prompts` will be read, and the transformer will run `passes` times. Raises torch.OutOfMemoryError."""
        self.leave()
        self._plan = plan
        if plan.device == "cpu":
            return
        for name, guest in self._guests.items():
            if not self._stays(name):
                guest.rest()
        kept = {self._blocks.start + place for place in plan.resident}
        if "text_encoder_2" in plan.stays:
            kept |= set(self._t5)
        if plan.weights == "pinned":
            self._settle(kept, prompts)
        self._stream.keep(kept)
        for name in PARTS:
            if self._stays(name):
                self._guests[name].visit()
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
        elif "dit" in names and self._ring_is_open is not self._streams(self._blocks):
            # The ring was T5's alone, or the VAE had its memory.
            self._close()
            self._open(prompts=0)
        self._give_back()
        for name in names:
            if name in self._guests:
                self._guests[name].visit()

    def leave(self) -> None:
        """The picture is made, or will not be. What stays stays. Safe to call again."""
        self._close()
        for name, guest in self._guests.items():
            if not self._stays(name):
                guest.rest()
        self._give_back()

    def drop(self) -> None:
        """Nothing is left on the card."""
        self._plan = None
        self.leave()
        self._stream.drop()

    def _open(self, *, prompts: int) -> None:
        assert self._plan is not None
        self._ring_is_open = self._streams(self._blocks) or (prompts > 0 and self._streams(self._t5))
        self._stream.open(slots=self._plan.slots if self._ring_is_open else 0, slot_bytes=self._plan.slot_bytes)
        order = chain(repeat(self._t5, prompts), repeat(self._blocks, self._passes))
        self._stream.expect(chain.from_iterable(order))

    def _close(self) -> None:
        self._ring_is_open = None
        self._stream.close()

    def _streams(self, places: Iterable[int]) -> bool:
        return any(place not in self._stream.kept for place in places)

    def _stays(self, name: str) -> bool:
        if self._plan is None or self._plan.device == "cpu":
            return False
        return name == "dit" or name in self._plan.stays or (name in VAE and "vae" in self._plan.stays)

    def _settle(self, kept: Collection[int], prompts: int) -> None:
        """Pin what streams. Once the system allows no more it is not asked again; the rest goes through staging."""
        for place, unit in enumerate(self._stream.units):
            if self._may_pin and place not in kept and (prompts or place not in self._t5):
                unit.settle(pin=True)
                self._may_pin = unit.pinned or self._device.type != "cuda"

    def _to_the_card(self, _module: nn.Module, _inputs: object, rows: Tensor) -> Tensor:
        return rows.to(self._device) if self._plan is not None and self._plan.device == "cuda" else rows

    def _give_back(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class Guest:
    """A part of the model that comes to the card as a whole, and goes as a whole."""

    def __init__(self, unit: Unit, device: torch.device) -> None:
        self._unit = unit
        self._device = device
        self._room: Tensor | None = None

    @property
    def bytes(self) -> int:
        return self._unit.bytes

    @property
    def card_bytes(self) -> int:
        return 0 if self._room is None else self._room.nbytes

    def visit(self) -> None:
        if self._room is not None or not self._unit.bytes:
            return
        self._unit.settle(pin=self._device.type == "cuda")
        assert self._unit.flat is not None
        self._room = self._unit.flat.to(self._device, non_blocking=True, copy=True)
        self._unit.point_at(self._room)

    def rest(self) -> None:
        self._unit.go_home()
        self._room = None


def _to_where_it_rests(vocabulary: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].to(next(vocabulary.parameters()).device),)
