"""Checkpoints of pictures in the making: whole or not there, and gone when nobody needs them."""

from pathlib import Path

import pytest

from darkroom.history.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def test_the_last_one_of_a_job_is_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    assert checkpoints.of(1) is None
    name = checkpoints.keep(1, b"first")
    assert checkpoints.keep(1, b"second") == name
    assert checkpoints.of(1) == b"second"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [name]


def test_it_goes_with_its_job(checkpoints: Checkpoints) -> None:
    checkpoints.keep(1, b"x")
    checkpoints.remove(1)
    checkpoints.remove(1)
    assert checkpoints.of(1) is None


def test_a_sweep_removes_what_no_job_needs_and_half_written_files(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.sweep([])
    for job in (1, 2, 1_234_567):
        checkpoints.keep(job, b"x")
    half = tmp_path / "checkpoints" / ".darkroom-0.part"
    half.write_bytes(b"x")
    strange = tmp_path / "checkpoints" / "notes.txt"
    strange.write_text("a person's")
    checkpoints.sweep([2, 1_234_567])
    assert [checkpoints.of(job) for job in (1, 2, 1_234_567)] == [None, b"x", b"x"]
    assert not half.exists()
    assert strange.exists()
