"""Rungs: each takes less than the one above, and the planner follows."""

from dataclasses import replace

import pytest

from darkroom.architecture import FLUX1
from darkroom.catalog import DEMO
from darkroom.errors import DoesNotFit
from darkroom.machine import Card, Machine
from darkroom.planner import Plan, make_plan
from darkroom.rungs import LAST_RUNG, RUNGS, compiles_at, next_rung, wishes_at
from darkroom.wishes import Wishes

GIB = 2**30
FLUX = replace(DEMO, architecture=FLUX1, prompt_tokens=512)


def machine(card: int, ram: int = 64) -> Machine:
    return Machine(
        card=Card(name="card", total=card * GIB, free=(card - 1) * GIB, compute=(8, 9), copy_rate=12e9),
        ram_total=ram * GIB,
        ram_free=(ram - 4) * GIB,
        pinnable=(ram - 4) * GIB,
        cores=8,
    )


def plan(rung: int, card: int, wishes: Wishes = Wishes()) -> Plan:  # noqa: B008 (frozen)
    return make_plan(FLUX, machine(card), wishes_at(rung, wishes), width=1024, height=1024)


def test_the_first_rung_is_what_the_settings_want() -> None:
    wishes = Wishes(keep_in_vram=True, offload=False, vae_tile="off")
    assert wishes_at(0, wishes) == wishes
    assert compiles_at(0)


@pytest.mark.parametrize("card", [24, 16, 12, 8, 6])
def test_each_rung_promises_no_more_of_the_card_than_the_one_above(card: int) -> None:
    promised = [plan(rung, card).promised_vram for rung in range(LAST_RUNG + 1)]
    assert promised == sorted(promised, reverse=True)
    assert promised[1] < promised[0]


def test_every_rung_has_a_plan_wherever_the_first_one_has() -> None:
    for card in (4, 6, 8):
        for wishes in (Wishes(), Wishes(keep_in_vram=True), Wishes(vae_tile=512)):
            try:
                plan(0, card, wishes)
            except DoesNotFit:
                continue
            for rung in range(1, LAST_RUNG + 1):
                plan(rung, card, wishes)


def test_the_rungs_come_in_their_order() -> None:
    assert plan(1, 16).decode_tile is None
    assert plan(2, 16).decode_tile == 256
    assert [compiles_at(rung) for rung in range(5)] == [True, True, True, False, False]
    assert [plan(rung, 16).weights for rung in range(5)] == ["pinned"] * 4 + ["mapped"]
    assert plan(4, 16).promised_ram < plan(0, 16).promised_ram


def test_wishes_that_were_smaller_already_are_kept() -> None:
    assert wishes_at(2, Wishes(vae_tile=256, vram_limit=5)).vram_limit == 5
    assert wishes_at(2, Wishes(vae_tile="off")).vae_tile == 256


def test_a_fault_leads_to_the_rung_that_may_help() -> None:
    assert next_rung(0, "out_of_memory", "denoising") == 1
    assert next_rung(0, "out_of_memory", "decoding") == 2
    assert next_rung(2, "out_of_memory", "denoising") == 3
    assert next_rung(0, "out_of_ram", "loading") == LAST_RUNG
    assert next_rung(0, "engine_lost", "loading") == 1
    assert next_rung(3, "card_fault", "denoising") == 4
    assert next_rung(LAST_RUNG, "engine_lost", "loading") == LAST_RUNG
    assert len(RUNGS) == LAST_RUNG
