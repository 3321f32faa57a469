"""A fresh history folder with its database, library and queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue


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
