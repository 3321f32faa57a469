"""A database that may not be written for a while, as SQLite itself refuses it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from darkroom.history.database import Database


class Protection:
    """Made before any other thread uses the database."""

    def __init__(self, database: Database) -> None:
        self._is_on = False
        event.listen(database._engine, "checkout", self._say)

    @contextmanager
    def on(self) -> Iterator[None]:
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _say(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA query_only = {'ON' if self._is_on else 'OFF'}").close()
