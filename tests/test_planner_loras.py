"""What LoRAs take has its room in every plan."""

from itertools import pairwise

import pytest

from darkroom.catalog import FLUX1_DEV
from darkroom.errors import DoesNotFit
from darkroom.footprint import COEFFICIENTS, GB, MIB
from darkroom.machine import Machine
from darkroom.planner import Plan, make_plan
from darkroom.wishes import Wishes
from tests.test_planner import machine, plan, with_ram


def with_loras(where: Machine, taken: int) -> Plan:
    return make_plan(FLUX1_DEV, where, Wishes(), width=1024, height=1024, low_rank_bytes=taken)


@pytest.mark.parametrize("gigabytes", [6, 8, 12, 24])
def test_what_loras_take_is_left_free_and_makes_no_plan_faster(gigabytes: int) -> None:
    plans = [with_loras(machine(gigabytes), taken) for taken in (0, MIB, 150 * MIB, 600 * MIB)]
    assert plans[0] == plan(machine(gigabytes))
    assert all(made.promised_vram <= gigabytes * GB - COEFFICIENTS.reserve for made in plans)
    assert all(more.streamed_bytes >= less.streamed_bytes for less, more in pairwise(plans))


def test_what_loras_take_counts_in_every_stage_and_on_a_processor_too() -> None:
    without, with_some = (with_loras(machine(80), taken).peaks for taken in (0, 600 * MIB))
    for stage in ("encoding", "denoising", "decoding"):
        assert getattr(with_some, stage) - getattr(without, stage) == 600 * MIB
    in_ram = [with_loras(with_ram(64, None), taken).promised_ram for taken in (0, 600 * MIB)]
    assert in_ram[1] - in_ram[0] == 600 * MIB


def test_loras_that_leave_no_room_for_a_picture_are_refused() -> None:
    with pytest.raises(DoesNotFit) as refused:
        with_loras(machine(4), 3 * GB)
    assert refused.value.where == "card"
