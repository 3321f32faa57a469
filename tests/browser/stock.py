"""A history that is there before the server starts: pictures of two colours each, made without an engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.request import parse_request

VALUES: dict[str, Any] = {"seed": 7, "steps": 4, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}


def stock(folder: Path, pictures: Sequence[dict[str, Any]]) -> None:
    """Each with these values of the request; the first is the oldest."""
    folder.mkdir(exist_ok=True)
    database = Database(sqlite_url(folder))
    database.open()
    queue, library = JobQueue(database), Library(database, folder)
    for number, values in enumerate(pictures):
        request = parse_request({**VALUES, **values})
        job = queue.submit(request)
        queue.claim()
        half = request.width * request.height // 2
        pixels = bytes((number * 37 % 256, 90, 140)) * half + bytes((60, number * 53 % 256, 70)) * half
        facts = {"seconds": 2.5, "device": "a card"}
        library.add(job=job.id, request=request, width=request.width, height=request.height, pixels=pixels, facts=facts)
    database.close()
