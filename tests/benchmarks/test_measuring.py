"""Peaks by stage, times of steps, tables, and their place in a document."""

import time
from pathlib import Path

import pytest
import torch

from benchmarks.documents import command_of, write_section
from benchmarks.measuring import Clock, Gauge, Peak, Timing, check_picture, first_line, ram_bytes, table
from benchmarks.promises import growth, mark_of

CPU = torch.device("cpu")
needs_proc = pytest.mark.skipif(ram_bytes() == 0, reason="the system does not say what a process holds")


@needs_proc
def test_memory_counts_for_the_stage_in_which_it_was_held() -> None:
    with Gauge(CPU) as gauge:
        gauge.stage("before")
        gauge.stage("during")
        held = torch.ones(64 * 2**20)
        time.sleep(0.1)
        gauge.stage("after")
        assert held.sum() > 0
    assert gauge.peaks["during"].ram - gauge.peaks["before"].ram > 200 * 2**20
    assert gauge.peak.ram >= gauge.peaks["during"].ram


def test_of_two_peaks_each_figure_is_the_higher_one() -> None:
    both = Peak(reserved=3, allocated=1, ram=5) | Peak(reserved=2, allocated=4, ram=5)
    assert both == Peak(reserved=3, allocated=4, ram=5)


def test_a_clock_times_stages_and_steps_of_a_loop_it_runs_through() -> None:
    clock = Clock(Gauge(CPU), CPU)
    clock.begin()
    for _ in clock.bar([torch.zeros(()) for _ in range(3)]):
        time.sleep(0.01)
    timing = clock.end()
    assert len(timing.steps) == 3
    assert timing.whole >= timing.encode + sum(timing.steps) + timing.decode - 0.001


def test_the_first_step_does_not_count_for_the_step_time() -> None:
    timing = Timing(encode=1, steps=(9, 2, 3, 2), decode=1, whole=18)
    assert timing.step == 2
    assert timing.with_steps(4) == 18
    assert timing.with_steps(20) == 18 + 16 * 2


def test_a_section_comes_to_the_end_once_and_is_replaced_afterwards(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n\nWords.\n", encoding="utf-8")
    write_section(document, "first", "old")
    write_section(document, "second", "other")
    write_section(document, "first", "new\n")
    assert document.read_text(encoding="utf-8") == (
        "# Benchmarks\n\nWords.\n\n<!-- first -->\nnew\n<!-- /first -->\n\n<!-- second -->\nother\n<!-- /second -->\n"
    )


def test_a_cell_cannot_break_its_table() -> None:
    assert table(("a", "b"), [("1 | 2", "3")]) == "| a | b |\n| --- | --- |\n| 1 / 2 | 3 |\n"


def test_a_fault_is_told_in_one_line() -> None:
    assert first_line(torch.OutOfMemoryError("CUDA out of memory.\nTried to …")) == "out of memory"
    assert first_line(RuntimeError("first\nsecond")) == "first"
    assert first_line(ValueError()) == "ValueError"


def test_a_blank_picture_is_not_a_picture() -> None:
    check_picture(bytes(range(256)))
    with pytest.raises(ArithmeticError, match="blank"):
        check_picture(bytes(100))


def test_a_command_is_shown_without_the_folders_of_this_machine(tmp_path: Path) -> None:
    assert command_of("benchmarks.x", ["--network", str(tmp_path / "n.safetensors")]) == (
        "python -m benchmarks.x --network n.safetensors"
    )


def test_growth_compares_the_last_ten_with_the_first_ten() -> None:
    assert growth([2**30] * 10 + [2**31] * 30 + [2**30] * 10)[2] == "+0.0%"
    assert growth([2**30] * 10 + [2**31] * 10)[2] == "+100.0%"
    assert growth([]) == ["–", "–", "–"]


def test_a_promise_is_marked_where_it_is_broken_or_wasteful() -> None:
    assert mark_of(99, 100) == "**low**"
    assert mark_of(100, 100) == mark_of(110, 100) == ""
    assert mark_of(111, 100) == "*high*"
    assert mark_of(5, 0) == ""
