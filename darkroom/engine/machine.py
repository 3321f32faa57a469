"""What this machine has at the moment: the card and its memory, RAM, and how fast one reaches the other.

Must not know: models, or what the memory is wanted for.
"""

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import torch

from darkroom.engine.pinning import HostMemory
from darkroom.machine import Card, Machine

# Of a container, under Linux: its own limit, and what it holds.
CGROUP_LIMIT, CGROUP_HELD, CGROUP_DETAILS = "memory.max", "memory.current", "memory.stat"
# Of what it holds, files that were read: they give way when room is needed.
FILE_PAGES = ("active_file", "inactive_file")
MEASURED_BYTES = 128 << 20
# Where nothing can be pinned to measure with: a cautious figure for PCIe 3.
ASSUMED_COPY_RATE = 6e9
# Windows lets at most about half of RAM be pinned.
PINNABLE_ON_WINDOWS = 0.45


def look_at_machine(device: torch.device, *, number_bytes: int, cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """What this process already holds for models counts as free, on the card and in RAM."""
    total, free = _ram(cgroup)
    return Machine(
        card=_card(device) if device.type == "cuda" else None,
        ram_total=total,
        ram_free=free,
        pinnable=min(free, int(total * PINNABLE_ON_WINDOWS)) if sys.platform == "win32" else free,
        cores=_cores(),
        number_bytes=number_bytes,
    )


@cache
def copy_rate(device: torch.device) -> float:
    """Bytes a second from pinned RAM to the card, measured once."""
    memory = HostMemory(MEASURED_BYTES)
    memory.content.zero_()
    if not memory.pin():
        return ASSUMED_COPY_RATE
    target = torch.empty(MEASURED_BYTES, dtype=torch.uint8, device=device)
    began, ended = _moment(), _moment()
    target.copy_(memory.content, non_blocking=True)
    began.record()
    target.copy_(memory.content, non_blocking=True)
    ended.record()
    ended.synchronize()
    memory.unpin()
    return MEASURED_BYTES / (float(began.elapsed_time(ended)) / 1000)


def _moment() -> Any:
    moment: Any = torch.cuda.Event
    return moment(enable_timing=True)


def _card(device: torch.device) -> Card:
    rate = copy_rate(device)
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    return Card(
        name=properties.name,
        total=total,
        free=free + torch.cuda.memory_reserved(device),
        compute=(properties.major, properties.minor),
        copy_rate=rate,
    )


def _ram(cgroup: Path) -> tuple[int, int]:
    """Total, and free or held by this process, in bytes. Of the machine and its container the smaller counts."""
    memory, own = psutil.virtual_memory(), psutil.Process().memory_info().rss
    total, free = memory.total, memory.available + own
    with suppress(OSError, ValueError):
        limit, held = (int((cgroup / name).read_text("ascii")) for name in (CGROUP_LIMIT, CGROUP_HELD))
        lines = (line.split() for line in (cgroup / CGROUP_DETAILS).read_text("ascii").splitlines())
        giving_way = sum(int(size) for name, size in lines if name in FILE_PAGES)
        total, free = min(total, limit), min(free, limit - held + giving_way + own)
    return total, min(total, free)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
