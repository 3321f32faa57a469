"""What the programs' tests share."""

import os
from pathlib import Path

import pytest

from darkroom.engine.process import EXPANDABLE_SEGMENTS, compiler_folders


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that wants the variables of the engine's process finds them set, and need not start itself anew."""
    for name, value in EXPANDABLE_SEGMENTS.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    for name in compiler_folders(Path()):
        # Some programs set these themselves: so they are put back.
        monkeypatch.setenv(name, os.environ.get(name, ""))
        monkeypatch.delenv(name)
