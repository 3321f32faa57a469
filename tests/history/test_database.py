"""Opening, migrating, and transactions."""

import re
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from darkroom.errors import HistoryUnusable, InvalidConfig, NotWritten
from darkroom.history import migrations
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.history.lock import FolderLock
from darkroom.history.tables import Base, JobRow, PictureRow, UtcDateTime
from darkroom.jobs.queue import JobQueue
from tests.history.examples import request
from tests.history.protected import Protection

NOON = datetime(2026, 2, 3, 12, 0, 0, 123456, tzinfo=UTC)


def tables_of(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    words = re.compile(r"\w+|[^\w\s,]")  # in any order: a column that came later stands at the end
    return {name: " ".join(sorted(words.findall(sql))) for name, sql in rows if "alembic" not in name}


def test_migrations_make_the_tables_of_the_models(database: Database, tmp_path: Path) -> None:
    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []

    by_models = tmp_path / "by_models.db"
    engine = create_engine(f"sqlite:///{by_models}")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert tables_of(tmp_path / "history.db") == tables_of(by_models)


def test_a_database_that_is_up_to_date_opens_again_with_its_rows(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        session.add(JobRow(state="waiting", request={}, created_at=NOON))
    again = Database(sqlite_url(tmp_path))
    again.open()
    with again.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 1
    again.close()


def test_an_empty_file_and_a_folder_that_is_not_there_become_a_database(tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    for folder in (tmp_path, tmp_path / "100% new" / "历史 ?a=b"):
        database = Database(sqlite_url(folder))
        database.open()
        with database.reading() as session:
            assert set(inspect(session.connection()).get_table_names()) >= {"jobs", "pictures"}
        database.close()
        assert (folder / "history.db").stat().st_size > 0


def test_a_database_of_the_first_version_keeps_its_pictures(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    old = create_engine(sqlite_url(tmp_path))
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number, negative in ((1, "模糊, 100%"), (2, "")):
            values = {"id": number, "at": NOON.isoformat(" "), "file": f"{number}.png"}
            values["request"] = request(negative_prompt=negative).model_dump_json()
            connection.execute(
                text("INSERT INTO jobs VALUES (:id, 'done', :request, :at, :at, :at, 1, NULL, NULL)"), values
            )
            connection.execute(
                text("INSERT INTO pictures VALUES (:id, :id, :at, :file, :request, '{}', 'a', 'demo', 42, 64, 64)"),
                values,
            )
    old.dispose()
    database = Database(sqlite_url(tmp_path))
    database.open()
    first, second = Library(database, tmp_path).page(order="oldest")
    assert (first.request, first.starred, first.deleted_at) == (request(negative_prompt="模糊, 100%"), False, None)
    assert Library(database, tmp_path).page(words="模糊") == (first,)
    assert JobQueue(database).get(second.job).group is None
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(HistoryUnusable, match="newer version"):
        Database(sqlite_url(tmp_path)).open()
    with database.reading() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(HistoryUnusable, match="cannot be read"):
        Database(sqlite_url(tmp_path)).open()
    assert (tmp_path / "history.db").read_bytes() == b"not a database at all" * 100


def test_a_database_that_can_only_be_read_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    # Whoever tests may be root, to whom every file can be written.
    monkeypatch.setattr("darkroom.history.database._write_ahead", lambda it: it.execute("PRAGMA query_only = ON"))
    with pytest.raises(HistoryUnusable, match="cannot be written"):
        Database(sqlite_url(tmp_path)).open()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("me:hunter2@host/pictures", "database_url is no address; allowed: empty, or such as "),
        ("postgresql+psycopg://me:hunter2@host:port/pictures", "database_url is no address; allowed: "),
        ("pictures://me:hunter2@host/pictures", "database_url is pictures://…; allowed: a kind of database that "),
        ("mssql+pymssql://me:hunter2@host/x", "allowed: a database whose driver is installed: pymssql is not"),
    ],
)
def test_an_address_that_nothing_can_speak_to_is_named_without_its_password(address: str, words: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        Database(address)
    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for start in (FolderLock(tmp_path / "file").acquire, Database(sqlite_url(tmp_path / "file")).open):
        with pytest.raises(HistoryUnusable, match="cannot be written"):
            start()


def test_two_threads_may_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def open_one() -> None:
        database = Database(sqlite_url(tmp_path))
        try:
            database.open()
        except HistoryUnusable as error:
            failures.append(error)
        database.close()

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_sqlite_is_set_up_to_be_safe(database: Database) -> None:
    def pragma(name: str) -> object:
        return session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()

    normal, full = 1, 2
    with database.reading() as session:
        assert pragma("journal_mode") == "wal"
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 5000
        assert pragma("synchronous") == normal
    with database.writing(durable=True) as session:
        assert pragma("synchronous") == full
    with database.writing() as session:
        assert pragma("synchronous") == normal


def test_a_picture_needs_its_job(database: Database) -> None:
    def add_picture_of_no_job() -> None:
        with database.writing() as session:
            values = request().model_dump()
            session.add(
                PictureRow(
                    job_id=99,
                    created_at=NOON,
                    file="x.png",
                    request=values,
                    facts={},
                    **{name: values[name] for name in ("prompt", "model", "seed", "width", "height")},
                )
            )

    with pytest.raises(IntegrityError):
        add_picture_of_no_job()


def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    class Interruption(Exception):
        pass

    def half() -> None:
        with database.writing() as session:
            session.add(JobRow(state="waiting", request={}, created_at=NOON))
            session.flush()
            raise Interruption

    with pytest.raises(Interruption):
        half()
    with database.reading() as session:
        assert session.scalars(select(JobRow)).all() == []


def test_writers_take_turns_and_lose_nothing(database: Database) -> None:
    with database.writing() as session:
        session.add(JobRow(state="waiting", request={}, created_at=NOON))

    def count_up() -> None:
        for _ in range(20):
            with database.writing() as session:
                row = session.get_one(JobRow, 1)
                row.attempts += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.get_one(JobRow, 1).attempts == 80


def test_of_many_threads_that_write_for_long_each_has_its_turn(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.history.database.BUSY_MS", 1)
    impatient = Database(database.url)
    failures: list[Exception] = []

    def write() -> None:
        try:
            for _ in range(5):
                with impatient.writing(durable=True) as session:
                    session.add(JobRow(state="waiting", request={}, created_at=NOON))
                    session.flush()
                    time.sleep(0.005)
        except OperationalError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    impatient.close()
    assert failures == []
    with database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 60


def test_times_come_back_in_utc_and_must_have_a_zone(database: Database) -> None:
    in_shanghai = NOON.astimezone(timezone(timedelta(hours=8)))
    with database.writing() as session:
        session.add(JobRow(state="waiting", request={}, created_at=in_shanghai))
    with database.reading() as session:
        stored = session.get_one(JobRow, 1).created_at
        assert (stored, stored.tzinfo) == (NOON, UTC)
        assert session.scalar(select(JobRow.id).where(JobRow.created_at == in_shanghai)) == 1
        dialect = session.connection().dialect
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), dialect)


def test_a_history_folder_has_one_server(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "new"), FolderLock(tmp_path / "new")
    first.acquire()
    with pytest.raises(HistoryUnusable, match="another Darkroom"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_a_full_disk_is_said_and_nothing_of_the_change_is_kept(database: Database) -> None:
    queue = JobQueue(database)
    with database.reading() as session:
        pages = session.scalar(text("PRAGMA page_count"))

    def is_full(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").close()

    event.listen(database._engine, "checkout", is_full)
    with pytest.raises(NotWritten, match="The disk is full") as raised:
        queue.submit_many([request(prompt="long " * 400)] * 200, "order")
    assert raised.value.code == "not_written_full"
    assert queue.unfinished_ids() == []
    event.remove(database._engine, "checkout", is_full)
    database._engine.dispose()
    assert queue.submit(request()).state == "waiting"


def test_a_full_disk_at_the_start_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 2")
        connection.exec_driver_sql("CREATE TABLE large (words TEXT)")
        connection.exec_driver_sql("INSERT INTO large VALUES (?)", ("long " * 10_000,))

    monkeypatch.setattr(migrations, "upgrade", upgrade)
    with pytest.raises(HistoryUnusable, match="its disk is full"):
        Database(sqlite_url(tmp_path)).open()


def test_a_folder_that_may_not_be_written_is_said(database: Database) -> None:
    with Protection(database).on(), pytest.raises(NotWritten) as raised:
        JobQueue(database).submit(request())
    assert raised.value.code == "not_written_refused"
    assert JobQueue(database).submit(request()).id == 1
