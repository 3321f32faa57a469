"""The real server and its engine, killed without warning while they make pictures: each job is a picture, once."""

import random
import sys
from pathlib import Path

import pytest

from benchmarks.kill_loop import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do"),
]


def test_a_few_kills_lose_no_job_and_double_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_ENGINE__CHECKPOINT_SECONDS", "0.1")
    size = {"steps": 12, "width": 256, "height": 256}
    tally = run(tmp_path, kills=4, jobs=3, values=size, longest=12, chance=random.Random(5), compared=1)
    assert tally.wrong == []
    assert tally.facts["done_once"] == tally.facts["jobs"] >= 3
    assert sum(tally.kills.values()) >= 4
