"""Estimates for cards that were not measured: they hold where one was, and their order is that of the cards."""

import pytest

from benchmarks.expectations import CARDS, COMPILED, FLOOR, HEAD, Sold, expectations
from darkroom.footprint import COEFFICIENTS

# Seconds per step at 1024×1024, of docs/benchmarks.md.
MEASURED = {"compiled": 0.082, "uncompiled": 0.182}
BY_NAME = {card.name: card for card in CARDS}


def seconds_of(name: str) -> tuple[float, float, float]:
    floor, compiled, uncompiled = (
        BY_NAME[name].plan(coefficients).seconds_per_step for coefficients in (FLOOR, COMPILED, COEFFICIENTS)
    )
    return floor, compiled, uncompiled


def test_the_estimate_is_right_for_the_card_that_was_measured() -> None:
    _, compiled, uncompiled = seconds_of("H100")
    assert compiled == pytest.approx(MEASURED["compiled"], rel=0.05)
    assert uncompiled == pytest.approx(MEASURED["uncompiled"], rel=0.1)


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_is_faster_than_the_floor_and_compiled_is_faster_than_uncompiled(name: str) -> None:
    floor, compiled, uncompiled = seconds_of(name)
    assert floor < compiled < uncompiled


def test_a_faster_card_takes_less_time() -> None:
    order = ["RTX 3060", "RTX 3060 Ti", "RTX 4070", "RTX 4090 D", "RTX 4090", "H100"]
    for figures in zip(*(seconds_of(name) for name in order), strict=True):
        assert sorted(figures, reverse=True) == list(figures)


def test_where_copies_take_longer_than_the_arithmetic_they_are_the_floor() -> None:
    slow = Sold(name="RTX 4060", gigabytes=8, compute=(8, 9), copy_rate=1e9).plan(FLOOR)
    assert slow.streamed_bytes
    assert slow.seconds_per_step == pytest.approx(slow.streamed_bytes / 1e9)


def test_a_card_without_published_rates_gets_no_estimate() -> None:
    with pytest.raises(KeyError):
        Sold(name="RTX 1", gigabytes=8, compute=(8, 6), copy_rate=1e9)


def test_the_section_says_that_it_is_an_estimate_and_has_a_row_for_each_card() -> None:
    text = expectations()
    assert "**An estimate**" in text
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == list(HEAD)
    assert [row[0] for row in rows[2:]] == list(BY_NAME)
