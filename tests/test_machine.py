"""The names people know a card's memory by, and wishes for less than there is."""

import pytest

from darkroom.footprint import GB
from darkroom.machine import Profile, profile_for
from darkroom.wishes import Wishes
from tests.test_planner import card, machine, plan


@pytest.mark.parametrize(
    ("total", "profile"), [(80, "24"), (24, "24"), (16, "16"), (12, "12"), (11, "8"), (7.6, "8"), (6, "6"), (3.9, "4")]
)
def test_a_card_has_the_profile_that_people_know_it_by(total: float, profile: Profile) -> None:
    assert profile_for(card(total)) == profile
    assert plan(machine(total), (512, 512)).profile == profile


def test_no_wish_makes_a_card_larger_than_it_is() -> None:
    assert plan(machine(8), wishes=Wishes(profile="24", vram_limit=80 * GB)) == plan(machine(8))
