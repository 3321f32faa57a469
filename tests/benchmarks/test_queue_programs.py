"""The programs that measure the queue, as a person starts them, in small: they end well and write their tables."""

from pathlib import Path

import pytest

from benchmarks import clients, stopping, time_left

pytestmark = pytest.mark.slow


def test_many_programs_are_served_in_turn_and_nothing_is_lost(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    assert clients.main(["--clients", "3", "--each", "2", "--write", str(document)]) == 0
    written = document.read_text("utf-8")
    assert "| GET /api/v1/jobs/{job} |" in written
    assert "out of their client's order: 0." in " ".join(written.split())


def test_a_stop_in_each_stage_is_timed(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    stopping.main(["--stops", "1", "--side", "256", "--steps", "20", "--write", str(document)])
    rows = [line for line in document.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[1:]] == list(stopping.STAGES)
    assert "| denoising | 1 |" in document.read_text("utf-8")


def test_what_was_said_of_the_time_is_held_against_what_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"width": 256, "height": 256, "steps": 2, "cfg_scale": 3.0}
    monkeypatch.setattr(time_left, "KINDS", (time_left.KINDS[0], small))
    time_left.main(["--each", "6"])
    assert "| 256×256, 8 steps | " in capsys.readouterr().out
