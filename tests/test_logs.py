"""What a process says on the terminal, at each level. Each in a fresh Python: how to log is set once in a process."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, sys
from darkroom.logs import start_logging
start_logging("engine", sys.argv[1])
for name in ("darkroom.engine", "library"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)(f"{name} {level}")
"""


def said(level: str, root: Path) -> list[str]:
    run = subprocess.run([sys.executable, "-c", PROGRAM, level], cwd=root, capture_output=True, text=True, check=True)
    assert all(" engine " in line for line in run.stderr.splitlines())
    return [" ".join(line.split()[-2:]) for line in run.stderr.splitlines()]


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_each_level_is_said_with_all_above_it(level: str, ours: list[str], theirs: list[str], root: Path) -> None:
    expected = [*(f"darkroom.engine {each}" for each in ours), *(f"library {each}" for each in theirs)]
    assert said(level, root) == expected
