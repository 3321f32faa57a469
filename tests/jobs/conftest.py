"""A fresh history folder with its queue and library, and supervisors that are always closed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.engine import EngineFactory
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Patience, Supervisor


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path))
    database.open()
    yield database
    database.close()


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    return Library(database, tmp_path)


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database)


StartSupervisor = Callable[..., Supervisor]


@pytest.fixture
def supervise(queue: JobQueue, library: Library) -> Iterator[StartSupervisor]:
    """Starts a supervisor of these engines; further names are those of Patience."""
    started: list[Supervisor] = []

    def start(engines: EngineFactory, *, idle_seconds: float = 0, **patience: float) -> Supervisor:
        options = {"close": 0.2, "after_fault": 0.01} | patience
        supervisor = Supervisor(queue, library, engines, idle_seconds, Patience(**options))
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.close()
