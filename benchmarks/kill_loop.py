"""Kills the server and its engine again and again, without warning, while a queue of the demo model's pictures is made.

Run: python -m benchmarks.kill_loop [--kills 200] [--jobs 50] [--write]. Every job must end as exactly one picture.
Where the queue pauses because engines are killed again and again, it goes on as if a person had said so.
Must not know: tensors.
"""

import argparse
import json
import os
import queue
import random
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

from PIL import Image

from benchmarks.documents import QUEUE, ROOT, command_of, write_section
from darkroom.jobs.healing import KILLED
from tests.browser.server import DarkroomServer

WIDTH = 120
DATABASE = "history.db"
PATIENCE_SECONDS = 1800.0
# One server kill in so many comes while the server starts.
STARTS = 6
RESUMED_COMPARED = 3
PROMPTS = ("a lighthouse", "a red house by a lake", "two boats", "an old barn in the snow")


@dataclass
class Tally:
    """What was done, and what was found wrong, in words."""

    kills: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    wrong: list[str] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--longest", type=float, default=8.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, nargs="?", const=QUEUE, help="put the table into this document")
    arguments = parser.parse_args()
    # Pictures of seconds are to be cut off in their middle as well.
    os.environ["DARKROOM_ENGINE__CHECKPOINT_SECONDS"] = "0.3"
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        tally = run(
            Path(folder),
            kills=arguments.kills,
            jobs=arguments.jobs,
            values={"steps": arguments.steps, "width": arguments.side, "height": arguments.side},
            longest=arguments.longest,
            chance=random.Random(arguments.seed),
        )
        seconds = time.monotonic() - began
    report = {"kills": tally.kills, "while": tally.stages, "checks": tally.checks, **tally.facts}
    sys.stdout.write(json.dumps({**report, "seconds": round(seconds), "wrong": tally.wrong}, indent=2) + "\n")
    if arguments.write:
        command = command_of("benchmarks.kill_loop", None)
        text = table_of(tally, command, f"{arguments.side}×{arguments.side}, {arguments.steps} steps", seconds)
        write_section(arguments.write, "kill-loop", text)
    sys.exit(1 if tally.wrong else 0)


def table_of(tally: Tally, command: str, picture: str, seconds: float) -> str:
    """For the document."""
    stages, facts = tally.stages, tally.facts
    load = os.getloadavg()[0]
    rows = {
        "kills of the server: in the middle of a job / while it starts / between jobs": (
            f"{stages['running']} / {stages['starting']} / {stages['between jobs']}"
        ),
        "kills of the engine: with a checkpoint / before the first": (
            f"{stages['with a checkpoint']} / {stages['without one']}"
        ),
        "jobs accepted / that became exactly one picture": f"{facts['jobs']} / {facts['done_once']}",
        "jobs that were tried again; the most attempts at one": f"{facts['tried_again']}; {facts['most_attempts']}",
        "how often the queue paused because engines were killed again and again": str(facts.get("opened_by_hand", 0)),
        "pictures resumed in the middle; of those made again without a break, how many had the same pixels": (
            f"{facts['resumed']}; {facts.get('compared', 0)}"
        ),
        "checks of the database and of every picture's file": str(tally.checks),
        "databases that were not whole, jobs lost, jobs with two pictures, pictures without a file": str(
            len(tally.wrong)
        ),
        "files of pictures without a row, which nobody sees": str(facts["files_without_a_row"]),
    }
    lines = "\n".join(f"| {what} | {measured} |" for what, measured in rows.items())
    about = (
        f"`{command}`, the demo model at {picture}, {os.cpu_count()} cores that other programs used as well (load "
        f"{load:.0f} at the end), {seconds / 60:.0f} minutes. SIGKILL, at random moments; the database and every "
        "picture's file were checked after each end of the server."
    )
    return f"{fill(about, WIDTH)}\n\n| what | measured |\n|---|---|\n{lines}"


def run(
    folder: Path,
    *,
    kills: int,
    jobs: int,
    values: Mapping[str, Any],
    longest: float,
    chance: random.Random,
    compared: int = RESUMED_COMPARED,
) -> Tally:
    """With another queue of as many jobs whenever one is done before all kills are."""
    server, tally = DarkroomServer(ROOT, folder), Tally()
    asked: list[int] = []
    try:
        server.start()
        asked += submit(server, jobs, values, chance)
        while sum(tally.kills.values()) < kills:
            time.sleep(chance.uniform(0, longest))
            if not unfinished(server.history):
                asked += submit(server, jobs, values, chance)
                continue
            open_again(server, tally)
            kill_one(server, tally, chance)
            sys.stderr.write(f"{dict(tally.kills)}, {unfinished(server.history)} jobs to go\n")
        wait_until_done(server, tally)
        compare_resumed(server, tally, compared)
    finally:
        server.close()
    check(server.history, tally)
    count(server.history, asked, tally)
    return tally


def submit(server: DarkroomServer, jobs: int, values: Mapping[str, Any], chance: random.Random) -> list[int]:
    accepted: list[int] = []
    for number in range(jobs):
        seed = chance.randrange(2**32)
        asked = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": seed, "model": "demo", **values}
        accepted += ask(server, "/api/jobs", asked)["jobs"]
    return accepted


def ask(server: DarkroomServer, path: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(
        server.address + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Origin": server.address},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return json.load(answer)


def kill_one(server: DarkroomServer, tally: Tally, chance: random.Random) -> None:
    """The engine or the server. After the server's end its files are checked, and it starts again."""
    running = rows(server.history, "SELECT checkpoint IS NOT NULL FROM jobs WHERE state = 'running'")
    if running and chance.random() < 0.5:
        with suppress(AssertionError, ProcessLookupError):  # there is none at the moment
            server.kill_engine()
            tally.kills["engine"] += 1
            tally.stages["with a checkpoint" if running[0][0] else "without one"] += 1
        return
    server.kill()
    tally.kills["server"] += 1
    tally.stages["running" if running else "between jobs"] += 1
    check(server.history, tally)
    if chance.randrange(STARTS) == 0:
        # Ends in an AssertionError, since it is never ready.
        starting = threading.Thread(target=_start_in_vain, args=(server,))
        starting.start()
        time.sleep(chance.uniform(0.2, 2.0))
        server.kill()
        starting.join()
        tally.kills["server"] += 1
        tally.stages["starting"] += 1
        check(server.history, tally)
    start_again(server, tally)


def start_again(server: DarkroomServer, tally: Tally) -> None:
    """On a machine that is busy a start may take longer than anybody waits; then that is one kill more."""
    while True:
        try:
            server.start()
        except queue.Empty:
            server.kill()
            tally.kills["server"] += 1
            tally.stages["starting"] += 1
            check(server.history, tally)
        else:
            return


def _start_in_vain(server: DarkroomServer) -> None:
    with suppress(AssertionError, queue.Empty):
        server.start()


def check(history: Path, tally: Tally) -> None:
    """Nothing is broken: the database, and the file of every picture. No job has two pictures."""
    tally.checks += 1
    for pragma, good in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
        if (found := rows(history, f"PRAGMA {pragma}")) != good:
            tally.wrong.append(f"{pragma}: {found[:3]}")
    for file, job in rows(history, "SELECT file, job_id FROM pictures"):
        if not (history / file).is_file():
            tally.wrong.append(f"the picture of job {job} has no file")
    for job, pictures in rows(history, "SELECT job_id, count(*) FROM pictures GROUP BY job_id HAVING count(*) > 1"):
        tally.wrong.append(f"job {job} has {pictures} pictures")


def unfinished(history: Path) -> int:
    ((left,),) = rows(history, "SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')")
    return int(left)


def open_again(server: DarkroomServer, tally: Tally) -> None:
    """As a person does who has read why the queue paused."""
    if rows(server.history, f"SELECT 1 FROM queue_state WHERE paused AND why_code = '{KILLED}'"):
        ask(server, "/api/v1/queue/resume", {})
        tally.facts["opened_by_hand"] = tally.facts.get("opened_by_hand", 0) + 1


def wait_until_done(server: DarkroomServer, tally: Tally) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := unfinished(server.history):
        open_again(server, tally)
        paused = rows(server.history, "SELECT why_code, why_detail FROM queue_state WHERE paused")
        if paused or time.monotonic() > deadline:
            raise TimeoutError(f"{left} jobs are not finished; {paused}; {server.lines[-30:]}")
        time.sleep(0.5)


def count(history: Path, asked: Sequence[int], tally: Tally) -> None:
    """Each accepted job is done, and its picture can be opened."""
    states = dict(rows(history, "SELECT id, state FROM jobs"))
    pictures = dict(rows(history, "SELECT job_id, file FROM pictures"))
    for job in asked:
        if states.get(job) != "done" or job not in pictures:
            why = rows(history, f"SELECT error_code, error_detail FROM jobs WHERE id = {int(job)}")
            tally.wrong.append(f"job {job} is {states.get(job, 'lost')}: {why}")
            continue
        with Image.open(history / pictures[job]) as image:
            image.load()
    files = {path.relative_to(history).as_posix() for path in (history / "pictures").rglob("*.png")}
    tally.facts |= {
        "jobs": len(asked),
        "done_once": sum(states.get(job) == "done" and job in pictures for job in asked),
        "tried_again": len(rows(history, "SELECT 1 FROM jobs WHERE attempts > 1")),
        "most_attempts": rows(history, "SELECT max(attempts) FROM jobs")[0][0],
        "resumed": len(rows(history, "SELECT 1 FROM pictures WHERE json_extract(facts, '$.resumed_at_step') > 0")),
        # Written in the moment before a kill; harmless, and never shown.
        "files_without_a_row": len(files - set(pictures.values())),
    }


def compare_resumed(server: DarkroomServer, tally: Tally, most: int) -> None:
    """Pictures that were resumed, made again without a break: the same pixels."""
    query = "SELECT file, request FROM pictures WHERE json_extract(facts, '$.resumed_at_step') > 0 ORDER BY id"
    for file, request in rows(server.history, query)[:most]:
        (job,) = ask(server, "/api/jobs", json.loads(request))["jobs"]
        wait_until_done(server, tally)
        again = rows(server.history, f"SELECT file FROM pictures WHERE job_id = {int(job)}")
        with Image.open(server.history / file) as first, Image.open(server.history / again[0][0]) as second:
            if first.tobytes() != second.tobytes():
                tally.wrong.append(f"{file} was resumed and differs from the unbroken picture")
        tally.facts["compared"] = tally.facts.get("compared", 0) + 1


def rows(history: Path, query: str) -> list[tuple[Any, ...]]:
    """Read only, whether or not a server is running."""
    address = f"file:{(history / DATABASE).as_posix()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
        return connection.execute(query).fetchall()


if __name__ == "__main__":
    main()
