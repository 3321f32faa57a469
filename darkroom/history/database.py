"""The database: opening it, bringing its tables up to date, and transactions. Must not know: what the rows mean."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from sqlite3 import SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, OperationalError
from sqlite3 import Connection as SqliteConnection
from threading import Lock

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool

from darkroom.errors import HistoryUnusable, InvalidConfig, NotWritten, Problem
from darkroom.history import migrations

SQLITE_FILE = "history.db"
CONNECTIONS = 20
"""Kept open. The server answers up to 40 requests at once, and one more connection for each of many takes its time."""

BUSY_MS = 5000
"""How long one writer waits for another."""


def sqlite_url(folder: Path) -> URL:
    """The database of a history folder."""
    return URL.create("sqlite", database=str(folder / SQLITE_FILE))


def has_history(folder: Path) -> bool:
    """Whether there is a SQLite database of earlier."""
    return (folder / SQLITE_FILE).is_file()


class Database:
    """SQLite, or any other database SQLAlchemy speaks to. Safe to use from several threads once open."""

    def __init__(self, url: str | URL) -> None:
        """Raises InvalidConfig where it is no address, or one of a database that nothing here can speak to."""
        self.url = _address(url)
        self._engine = _engine_of(self.url)
        self._writer = self._engine.execution_options(darkroom_begin="writing")
        self._durable_writer = self._engine.execution_options(darkroom_begin="durable")
        # SQLite has one writer at a time and lets those who wait try again now and then, so that one of many may wait
        # in vain. Here each thread has its turn.
        self._turn: AbstractContextManager[object] = Lock() if self._engine.dialect.name == "sqlite" else nullcontext()

    def open(self) -> None:
        """Create or upgrade the tables. Raises HistoryUnusable."""
        migrating = _create_engine(self.url, poolclass=NullPool, foreign_keys=False)
        try:
            if self.url.get_backend_name() == "sqlite" and self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            with migrating.execution_options(darkroom_begin="durable").begin() as connection:
                migrations.upgrade(connection)
                # A database that can only be read would be noticed by the first who orders a picture.
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
        except migrations.TooNew as error:
            raise HistoryUnusable("newer", self._name()) from error
        except OSError as error:
            raise HistoryUnusable("not_writable", self._name()) from error
        except DBAPIError as error:
            is_read_only = any(words in str(error.orig).lower() for words in ("readonly", "read-only"))
            is_full = _why_not_written(error) == "full"
            reason = "full" if is_full else "not_writable" if is_read_only else "unreadable"
            raise HistoryUnusable(reason, self._name()) from error
        finally:
            migrating.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Session]:
        """A session that is committed at the end of the block, or not at all. One writer at a time on SQLite.

        `durable` is for what a person has been promised: it is on the disk when the block ends, come a power cut.
        Raises NotWritten when the disk does not take it.
        """
        engine = self._durable_writer if durable else self._writer
        try:
            with self._turn, Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (DatabaseError, OperationalError) as error:
            reason = _why_not_written(error)
            if reason is None:
                raise
            raise NotWritten(reason) from error

    def close(self) -> None:
        self._engine.dispose()

    def _name(self) -> str:
        return self.url.render_as_string(hide_password=True)


def _address(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        # Not shown: there may be a password in it.
        raise _refused("no address", "empty, or such as postgresql+psycopg://name@host/database") from error


def _engine_of(url: URL) -> Engine:
    try:
        return _create_engine(url)
    except NoSuchModuleError as error:
        raise _refused(f"{url.drivername}://…", "a kind of database that SQLAlchemy knows") from error
    except ImportError as error:
        raise _refused(f"{url.drivername}://…", f"a database whose driver is installed: {error.name} is not") from error


def _refused(value: str, allowed: str) -> InvalidConfig:
    return InvalidConfig(Problem(field="database_url", value=value, allowed=allowed))


def _create_engine(url: URL, *, poolclass: type[Pool] | None = None, foreign_keys: bool = True) -> Engine:
    pool = {"pool_size": CONNECTIONS} if poolclass is None else {"poolclass": poolclass}
    engine = create_engine(url, **pool)
    if engine.dialect.name != "sqlite":
        return engine

    @event.listens_for(engine, "connect")
    def set_up(connection: SqliteConnection, entry: ConnectionPoolEntry) -> None:  # noqa: ARG001
        connection.isolation_level = None  # the driver's own BEGIN comes too late and is never IMMEDIATE
        for pragma in (
            f"busy_timeout = {BUSY_MS}",
            "synchronous = NORMAL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        # SQLite's own knows the capitals of ASCII only.
        connection.create_function("lower", 1, lambda text: text and text.casefold(), deterministic=True)
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("darkroom_begin", "reading")
        if kind == "reading":
            connection.exec_driver_sql("BEGIN")
            return
        # Cannot be changed inside a transaction, so it is said each time before one.
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if kind == 'durable' else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _why_not_written(error: Exception) -> str | None:
    """None where the disk is not the reason. The lower bits of SQLite's code are the kind of error."""
    found = error.orig if isinstance(error, DatabaseError) else error
    match getattr(found, "sqlite_errorcode", 0) & 0xFF:
        case code if code == SQLITE_FULL:
            return "full"
        case code if code in (SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN):
            return "refused"
        case _:
            return None


def _write_ahead(connection: SqliteConnection) -> None:
    """The one change for which SQLite does not wait itself when another connection makes it in the same moment."""
    patience = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except OperationalError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.01)
