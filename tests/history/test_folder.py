"""The folder of finished pictures is one that other programs can build on: what docs/api.md promises of it."""

import json
import re
import threading
from pathlib import Path

from PIL import Image

from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from tests.history.examples import PIXELS, request

NAME = re.compile(r"pictures/\d{4}/\d{2}/(?P<job>\d{6,})-(?P<seed>\d+)-[0-9a-f]{8}\.png")
PICTURES = 40


def test_each_name_appears_once_whole_and_for_good(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    database.open()
    queue, library = JobQueue(database), Library(database, tmp_path)
    seen: dict[Path, bytes] = {}
    broken: list[str] = []
    done = threading.Event()

    def watch() -> None:
        """A program that takes every file in the moment in which it is there."""
        while not done.is_set():
            for path in (tmp_path / "pictures").rglob("*.png"):
                content = path.read_bytes()
                if path not in seen:
                    with Image.open(path) as image:
                        image.load()
                        request_of = json.loads(str(image.info["darkroom"]))
                    if image.size != (64, 64) or not request_of:
                        broken.append(path.name)
                elif seen[path] != content:
                    broken.append(f"{path.name} has changed")
                seen[path] = content

    watching = threading.Thread(target=watch)
    watching.start()
    for seed in range(PICTURES):
        queue.submit(request(seed=seed))
        job = queue.claim()
        assert job is not None
        picture = library.add(job=job.id, request=job.request, width=64, height=64, pixels=PIXELS, facts={})
        library.star(picture.id, True)
        library.delete(picture.id)
        library.restore(picture.id)
        found = NAME.fullmatch(picture.file)
        assert found is not None
        assert (int(found["job"]), int(found["seed"])) == (job.id, seed)
    done.set()
    watching.join()
    assert broken == []
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")} == {
        picture.file for picture in library.page(limit=PICTURES)
    }

    first = library.page(order="oldest")[0]
    library.delete(first.id)
    assert library.picture_path(first.id).is_file()
    library.purge(first.id)
    assert not (tmp_path / first.file).exists()
    database.close()
