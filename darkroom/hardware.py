"""What this machine has, as far as that can be told without loading torch: the card by its driver's own tool, and RAM.

For saying beforehand whether a model fits; the engine looks anew, and more closely. Must not know: models.
"""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from darkroom.machine import Card, Machine

MIB = 1 << 20
SECONDS_TO_ANSWER = 5
# What a driver's tool does not say: a cautious figure for PCIe 3.
COPY_RATE = 12e9
# Of all memory, what other programs usually leave.
SHARE_OF_RAM = 0.85


def look_without_torch(*, cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """As if the machine had little else to do."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int((cgroup / "memory.max").read_text("ascii")))
    free = int(total * SHARE_OF_RAM)
    return Machine(card=_card(), ram_total=total, ram_free=free, pinnable=free, cores=os.cpu_count() or 1)


def _card() -> Card | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return card_of(answer)


def card_of(answer: str) -> Card | None:
    """The first of those that nvidia-smi names."""
    try:
        name, total, compute = (part.strip() for part in answer.splitlines()[0].rsplit(",", 2))
        major, minor = compute.split(".")
        size = int(total) * MIB
        return Card(name=name, total=size, free=size, compute=(int(major), int(minor)), copy_rate=COPY_RATE)
    except (ValueError, IndexError):
        return None
