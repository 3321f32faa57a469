"""Parts: what app.py has wired for a command that makes pictures itself. Must not know: how any of them works."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from darkroom.config import Settings
from darkroom.downloads.shelf import Shelf
from darkroom.history.database import Database
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor

MakeQueue = Callable[[Database], JobQueue]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """On a history folder that is locked while they are open."""

    queue: JobQueue
    library: Library
    supervisor: Supervisor
    shelf: Shelf


Wire = Callable[[Settings, MakeQueue], AbstractContextManager[Parts]]
