"""Many programs order at once and look at their jobs while they are made: how fast, how fair, and what it holds.

Run: python -m benchmarks.clients [--clients 20] [--each 50] [--steps 1] [--side 256] [--write]. The real server with
its engine and the demo model, in processes of their own. Must not know: tensors.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from textwrap import fill
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.documents import QUEUE, ROOT, command_of, write_section
from tests.browser.server import DarkroomServer

SECONDS_BETWEEN_LOOKS = 0.3
PATIENCE_SECONDS = 3600.0
ENDED = ("done", "failed", "cancelled")
MIB = 2**20
WIDTH = 120
# What a program asks of one job, and what every open page asks of the queue.
JOB, PAGE, ORDER = "GET /api/v1/jobs/{job}", "GET /api/jobs", "POST /api/v1/jobs"


@dataclass
class Tally:
    """Seconds of each kind of request; the ends of each client's jobs, in order; what is wrong, in words."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    at_rest: int = 0
    most: int = 0
    at_end: int = 0
    load: list[float] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--write", type=Path, nargs="?", const=QUEUE, help="put the table into this document")
    options = parser.parse_args(arguments)
    values = {
        "prompt": "a pond",
        "steps": options.steps,
        "width": options.side,
        "height": options.side,
        "model": "demo",
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(Path(folder), clients=options.clients, each=options.each, values=values)
    command = command_of("benchmarks.clients", arguments)
    text = table_of(tally, command, options.clients, options.each, time.monotonic() - began)
    sys.stdout.write(text + "\n" + "\n".join(tally.wrong) + "\n")
    if options.write:
        write_section(options.write, "clients", text)
    return 1 if tally.wrong else 0


def run(folder: Path, *, clients: int, each: int, values: dict[str, Any]) -> Tally:
    tally, server = Tally(), DarkroomServer(ROOT, folder)
    try:
        server.start()
        warm_up(server, values)
        process = psutil.Process(server.process_id)
        tally.at_rest = tally.most = process.memory_info().rss
        done = threading.Event()
        watching = threading.Thread(target=watch, args=(process, tally, done))
        watching.start()
        programs = [
            threading.Thread(target=program, args=(server.address, f"client-{n}", each, values, tally))
            for n in range(clients)
        ]
        for thread in programs:
            thread.start()
        for thread in programs:
            thread.join()
        done.set()
        watching.join()
        time.sleep(1)
        tally.at_end = process.memory_info().rss
        check(server.address, tally, clients=clients, each=each)
    finally:
        server.close()
    return tally


class Line:
    """One program's connection to the server, kept open."""

    def __init__(self, address: str, client: str, tally: Tally) -> None:
        self._line = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        self._headers = {"Darkroom-Client": client, "Content-Type": "application/json"}
        self._tally = tally

    def ask(self, kind: str, path: str, body: dict[str, Any] | None = None) -> Any:
        began = time.perf_counter()
        content = None if body is None else json.dumps(body)
        self._line.request("GET" if body is None else "POST", path, content, self._headers)
        answer = self._line.getresponse()
        content_read = answer.read()
        self._tally.seconds[kind].append(time.perf_counter() - began)
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {content_read[:200]!r}")
        return json.loads(content_read)


def warm_up(server: DarkroomServer, values: dict[str, Any]) -> None:
    """One picture, so that the engine is there and the server has loaded what it needs."""
    line = Line(server.address, "first", Tally())
    job = line.ask(ORDER, "/api/v1/jobs", values)["jobs"][0]["id"]
    while line.ask(JOB, f"/api/v1/jobs/{job}")["state"] not in ENDED:
        time.sleep(0.1)
    for _ in range(20):
        line.ask(PAGE, "/api/jobs")


def program(address: str, name: str, each: int, values: dict[str, Any], tally: Tally) -> None:
    """Orders one by one, then looks at the first of its jobs that is not done, and at the queue as a page does."""
    line = Line(address, name, tally)
    jobs = [line.ask(ORDER, "/api/v1/jobs", {**values, "seed": seed})["jobs"][0]["id"] for seed in range(each)]
    tally.orders[name] = jobs
    open_jobs, patient_until = list(jobs), time.monotonic() + PATIENCE_SECONDS
    while open_jobs:
        if line.ask(JOB, f"/api/v1/jobs/{open_jobs[0]}")["state"] in ENDED:
            open_jobs.pop(0)
            continue
        line.ask(PAGE, "/api/jobs")
        if time.monotonic() > patient_until:
            tally.wrong.append(f"{name}: {len(open_jobs)} jobs have not ended")
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def watch(process: psutil.Process, tally: Tally, done: threading.Event) -> None:
    while not done.wait(1):
        tally.most = max(tally.most, process.memory_info().rss)
        tally.load.append(os.getloadavg()[0])


def check(address: str, tally: Tally, *, clients: int, each: int) -> None:
    """Every job is done, and each client's were made in its order."""
    line = Line(address, "last", Tally())
    ended: dict[str, list[tuple[str, int]]] = defaultdict(list)
    cursor: int | None = None
    while True:
        page = line.ask("", "/api/v1/jobs?limit=200" + (f"&cursor={cursor}" if cursor else ""))
        for job in page["jobs"]:
            if job["client"] in tally.orders:
                if job["state"] != "done":
                    tally.wrong.append(f"job {job['id']} is {job['state']}: {job['error']}")
                ended[job["client"]].append((job["started_at"] or "", job["id"]))
        cursor = page["next"]
        if cursor is None:
            break
    for client, jobs in tally.orders.items():
        if [id for _, id in sorted(ended[client])] != jobs:
            tally.wrong.append(f"{client}: its jobs were not made in its order, or not all of them")
    if sum(map(len, ended.values())) != clients * each:
        tally.wrong.append(f"{sum(map(len, ended.values()))} jobs of {clients * each}")


def table_of(tally: Tally, command: str, clients: int, each: int, seconds: float) -> str:
    rows = [f"| {kind} | {len(took):,} | {_figures(took)} |" for kind, took in sorted(tally.seconds.items())]
    growth = (tally.at_end - tally.at_rest) / MIB
    about = (
        f"`{command}`: {clients} clients with {each} jobs each, {os.cpu_count()} cores, of which the engine takes all "
        f"it gets; load {median(tally.load or [0]):.1f}, {seconds / 60:.0f} minutes. Milliseconds."
    )
    after = (
        f"Jobs lost, or made out of their client's order: {len(tally.wrong)}. Memory of the server: "
        f"{tally.at_rest / MIB:.0f} MiB after its first picture, {tally.at_end / MIB:.0f} after all ({growth:+.0f}), "
        f"{tally.most / MIB:.0f} at most between."
    )
    head = "| request | how many | median | p95 | p99 | most |\n|---|---|---|---|---|---|"
    return "\n".join([fill(about, WIDTH), "", head, *rows, "", fill(after, WIDTH)])


def _figures(took: list[float]) -> str:
    parts = quantiles(took, n=100) if len(took) > 1 else took * 99
    return " | ".join(f"{1000 * each:.0f}" for each in (median(took), parts[94], parts[98], max(took)))


if __name__ == "__main__":
    sys.exit(main())
