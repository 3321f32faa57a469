"""A Darkroom of a test's own, and its commands: each app.py in a process, or in this one where a hub is needed."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def command(root: Path, tmp_path: Path) -> Command:
    """Run `app.py` with the settings of `tmp_path`, which hold the models that ship."""
    config = tmp_path / "config.yaml"
    if not config.exists():
        config.write_text(
            f"folders: {{models: '{(root / 'models').as_posix()}', history: history}}\nengine: {{device: cpu}}\n",
            encoding="utf-8",
        )

    def run(*words: str) -> Ran:
        line = [sys.executable, "app.py", "--config", str(config), *words]
        ended = subprocess.run(line, cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run
