"""How much memory this machine has left, as the server sees it, and how often the system had to kill for want of it.

Must not know: engines, or what the figures are wanted for.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Under Linux, of a container: its own limit, what it holds, and what became of its processes.
CGROUP = Path("/sys/fs/cgroup")
LIMIT, HELD, DETAILS, EVENTS = "memory.max", "memory.current", "memory.stat", "memory.events"
# Of what it holds, files that were read: they give way when room is needed.
FILE_PAGES = ("active_file", "inactive_file")
# Of the whole machine.
KERNEL_EVENTS = Path("/proc/vmstat")
KILLS = "oom_kill"


@dataclass(frozen=True, kw_only=True)
class SystemMemory:
    """Bytes of RAM, in all and free, the container's where it has less; of swap, in all and free.

    `kills` is how many processes the system has ended for want of memory, since it started.
    """

    total: int
    free: int
    swap: int
    swap_free: int
    kills: int

    @property
    def ram_percent(self) -> int:
        """In use."""
        return round(100 * (1 - self.free / self.total)) if self.total else 0

    @property
    def swap_percent(self) -> int:
        """In use."""
        return round(100 * (1 - self.swap_free / self.swap)) if self.swap else 0


def look_at_memory(cgroup: Path = CGROUP, kernel_events: Path = KERNEL_EVENTS) -> SystemMemory:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    total, free = memory.total, memory.available
    with suppress(OSError, ValueError):
        limit, held = (int((cgroup / name).read_text("ascii")) for name in (LIMIT, HELD))
        details = _figures(cgroup / DETAILS)
        giving_way = sum(details.get(name, 0) for name in FILE_PAGES)
        total, free = min(total, limit), min(free, limit - held + giving_way)
    # Those of a whole machine may be other containers'.
    events = cgroup / EVENTS if (cgroup / EVENTS).exists() else kernel_events
    kills = _figures(events).get(KILLS, 0)
    return SystemMemory(total=total, free=max(0, free), swap=swap.total, swap_free=swap.free, kills=kills)


def _figures(path: Path) -> dict[str, int]:
    """Lines of a name and a number; none where the system has no such file."""
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
        return {line[0]: int(line[1]) for line in lines if len(line) == 2}
    except (OSError, ValueError):
        return {}
