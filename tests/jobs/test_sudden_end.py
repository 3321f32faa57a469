"""The server is killed at any moment, again and again, on one history folder: nothing is lost or broken."""

import random
import select
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.history.metadata.read import read_request
from darkroom.jobs.queue import JobQueue

ROUNDS = 4
PROGRAM = """
import itertools, sys
from pathlib import Path
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from tests.history.examples import PIXELS, request

folder = Path(sys.argv[1])
database = Database(sqlite_url(folder))
database.open()
queue, library = JobQueue(database), Library(database, folder)
queue.recover()
library.sweep()
for number in itertools.count():
    job = queue.submit(request(seed=number, prompt="山上的灯塔"))
    print(job.id, flush=True)
    job = queue.claim()
    match number % 5:
        case 0:
            queue.cancel(job.id)
        case 1:
            queue.fail(job.id, "out_of_memory", "x")
        case 2:
            queue.put_back(job.id, rung=1)
        case _:
            library.add(job=job.id, request=job.request, width=64, height=64, pixels=PIXELS, facts={"number": number})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
def test_nothing_is_lost_or_broken_by_sudden_ends(tmp_path: Path, root: Path) -> None:
    chance = random.Random(7)
    accepted: set[int] = set()
    for _ in range(ROUNDS):
        accepted |= run_and_kill(tmp_path, root, lines=chance.randrange(1, 60), then_seconds=chance.random() / 50)
        check_everything(tmp_path, accepted)


def run_and_kill(folder: Path, root: Path, *, lines: int, then_seconds: float) -> set[int]:
    """Kill it after it has accepted so many jobs and a moment more; the jobs it said it had accepted."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(lines)]
        select.select([], [], [], then_seconds)
        server.kill()
        said += server.stdout.readlines()
    assert server.returncode == -9, "it ended by itself"
    return {int(line) for line in said if line.endswith("\n")}


def check_everything(folder: Path, accepted: set[int]) -> None:
    connection = sqlite3.connect(folder / "history.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    states = dict(connection.execute("SELECT id, state FROM jobs ORDER BY id").fetchall())
    connection.close()
    assert accepted <= states.keys()
    assert set(states.values()) <= {"waiting", "running", "done", "failed", "cancelled"}

    database = Database(sqlite_url(folder))
    database.open()
    queue, library = JobQueue(database), Library(database, folder)
    pictures = library.page(limit=10_000)
    assert sorted(picture.job for picture in pictures) == [job for job, state in states.items() if state == "done"]
    for picture in pictures:
        with Image.open(library.picture_path(picture.id)) as image:
            image.load()
        assert (folder / picture.file.replace("pictures/", "thumbnails/").replace(".png", ".webp")).is_file()
        assert read_request(library.picture_path(picture.id)) == picture.request
    queue.recover()
    assert {job.state for job in queue.unfinished()} <= {"waiting"}
    library.sweep()
    assert not list(folder.rglob("*.part"))
    database.close()
