"""What glibc keeps of freed memory goes back to the system."""

import platform
import sys
from pathlib import Path

import pytest
import torch

from darkroom.engine.heap import give_back


def resident() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="this system's library keeps nothing"
)
def test_what_lies_below_something_in_use_is_given_back() -> None:
    small = 64 << 10
    held = [torch.ones(small, dtype=torch.uint8) for _ in range(1600)]
    last = torch.ones(small, dtype=torch.uint8)
    before = resident()
    held.clear()
    kept = resident()
    give_back()
    assert before - resident() > 60 << 20
    assert kept - resident() > 0
    assert last.all()
    give_back()
