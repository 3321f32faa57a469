"""Rungs: how a picture is made more cheaply each time a fault met it, from the plan as it is down to the disk.

Pure arithmetic, the same on both sides of the pipe. Must not know: torch, engines, or what a fault was.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from darkroom.wishes import Wishes

Ease = Literal["smaller_resident_set", "vae_tiles", "uncompiled", "from_disk"]

RUNGS: tuple[Ease, ...] = ("smaller_resident_set", "vae_tiles", "uncompiled", "from_disk")
"""What each rung adds to those before it; rung 1 is the first. Rung 0 is the plan as the settings want it."""

LAST_RUNG = len(RUNGS)

# Of what the plan would take of the card, on the first rung and on those below it. Small tiles alone would make room
# for weights again.
SMALLER_SHARE, SMALLEST_SHARE = 0.7, 0.5
# The smallest that the planner tries by itself.
SMALL_TILE = 256

# What may be the way out of a fault, by its kind and the stage it came in; a kind alone is for all other stages.
WAYS_OUT: Mapping[tuple[str, str] | str, tuple[Ease, ...]] = {
    "out_of_memory": ("smaller_resident_set", "uncompiled", "from_disk"),
    ("out_of_memory", "decoding"): ("vae_tiles",),
    "out_of_ram": ("from_disk",),
    "card_fault": ("uncompiled",),
    "engine_hung": ("uncompiled",),
}


def eases(rung: int) -> tuple[Ease, ...]:
    """All that is done at this rung."""
    return RUNGS[:rung]


def wishes_at(rung: int, wishes: Wishes) -> Wishes:
    """What is asked of the planner at this rung."""
    taken = eases(rung)
    if "smaller_resident_set" in taken:
        wishes = replace(wishes, offload=True, keep_in_vram=False, vram_share=SMALLER_SHARE)
    if "vae_tiles" in taken:
        side = wishes.vae_tile if isinstance(wishes.vae_tile, int) else SMALL_TILE
        wishes = replace(wishes, vae_tile=min(side, SMALL_TILE), vram_share=SMALLEST_SHARE)
    if "from_disk" in taken:
        wishes = replace(wishes, from_disk=True)
    return wishes


def compiles_at(rung: int) -> bool:
    return "uncompiled" not in eases(rung)


def next_rung(rung: int, kind: str, stage: str) -> int:
    """The first cheaper rung that may be the way out, else the next one; the last one has none below it."""
    ways = WAYS_OUT.get((kind, stage)) or WAYS_OUT.get(kind, RUNGS)
    better = (number for number, ease in enumerate(RUNGS, start=1) if number > rung and ease in ways)
    return next(better, min(rung + 1, LAST_RUNG))
