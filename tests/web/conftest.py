"""The server with a real database and an engine that draws, asked without a browser."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO, ModelEntry
from darkroom.config import FolderSettings, Settings
from darkroom.downloads.shelf import Shelf
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import Job, JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.origins import Origins
from darkroom.request import parse_request
from darkroom.web.server import create_app
from tests.web.drawing_engine import DrawingEngine

ADDRESS = "http://127.0.0.1:6006"
VALUES: dict[str, Any] = {
    "prompt": "a quiet lake",
    "seed": 12345,
    "steps": 2,
    "guidance": 3.5,
    "width": 256,
    "height": 384,
    "model": "demo",
}


class House:
    """What app.py wires, at a test's hand. The supervisor rests until `start`."""

    def __init__(self, folder: Path, entries: Sequence[ModelEntry] | None = (DEMO,), pace: float = 0.0) -> None:
        self.folder = folder
        self.database = Database(sqlite_url(folder))
        self.database.open()
        self.queue = JobQueue(self.database)
        settings = Settings(folders=FolderSettings(models=folder / "models", history=folder))
        self.shelf = Shelf(settings)
        self.library = Library(self.database, folder, Origins(self.shelf).facts)
        self.supervisor = Supervisor(self.queue, self.library, partial(DrawingEngine, pace), 60)
        self.app = create_app(settings, self.queue, self.library, self.supervisor, entries, self.shelf)

    def submit(self, **changes: Any) -> Job:
        return self.queue.submit(parse_request(VALUES | changes))

    def picture(self, **changes: Any) -> int:
        """Make one at once, without an engine."""
        request = parse_request(VALUES | changes)
        job = self.queue.submit(request)
        claimed = self.queue.claim()
        assert claimed is not None
        assert claimed.id == job.id
        size = {"width": request.width, "height": request.height}
        pixels = bytes(request.width * request.height * 3)
        return self.library.add(job=job.id, request=request, pixels=pixels, facts={"seconds": 2.0}, **size).id


@pytest.fixture(scope="session", autouse=True)
def _one_application_for_each_page() -> Iterator[None]:
    """Gradio makes three and serves the last, the mounted one. Making them is half of what building a server takes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradio.blocks.App", SimpleNamespace(create_app=lambda *_, **__: None))
        yield


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.supervisor.close()
    house.database.close()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(house.app, base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def empty_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One for a whole file, for tests that change nothing. There are no jobs and no pictures; a file is a secret."""
    house = House(tmp_path_factory.mktemp("empty"))
    (house.folder / "secret.txt").write_text("secret", encoding="utf-8")
    with TestClient(house.app, base_url=ADDRESS) as client:
        yield client
    house.database.close()
