"""A Darkroom of its own for programs that look at it: an empty history, a free port.

Must not know: what they look for.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class RunningDarkroom:
    """Where its page is, and which process serves it."""

    address: str
    process_id: int


@contextmanager
def darkroom(history: Path) -> Iterator[RunningDarkroom]:
    """Runs app.py with its history in that folder, until the block ends."""
    environment = os.environ | {"DARKROOM_FOLDERS__HISTORY": str(history)}
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        ready = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)), None)
        if ready is None:
            sys.exit("Darkroom did not start: see the lines above.")
        yield RunningDarkroom(address=ready[0], process_id=server.pid)
    finally:
        server.terminate()
        server.wait()
