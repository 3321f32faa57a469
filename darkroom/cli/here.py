"""A Darkroom for the time of one command, where none runs on this history: the same queue, engine and shelf.

Must not know: what is said on the terminal.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import Any

from darkroom.cli.darkroom import CLIENT, View
from darkroom.cli.parts import Parts
from darkroom.config import Settings
from darkroom.downloads.downloads import Downloads
from darkroom.downloads.shelf import Shelf
from darkroom.hardware import look_without_torch
from darkroom.history.database import Database, has_history, sqlite_url
from darkroom.history.library import Library
from darkroom.history.lock import FolderLock
from darkroom.jobs.queue import Job, JobQueue
from darkroom.loras.folders import LoraFolders
from darkroom.prompts.tokens import TokenCounter
from darkroom.request import GenerationRequest
from darkroom.web.fitting import Fitting
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models
from darkroom.web.needs import Needs
from darkroom.web.order import Counter
from darkroom.web.prompt_views import reading_of
from darkroom.web.queue_views import queue_view
from darkroom.web.shelf_views import shelf_view
from darkroom.web.views import job_view
from darkroom.web.words import load_words
from darkroom.weights import Hub


class OwnQueue(JobQueue):
    """The queue of a history, of which only what this command asked for is made: the rest waits for the server."""

    def submit_many(self, requests: Sequence[GenerationRequest], group: str | None, **how: Any) -> tuple[Job, ...]:
        jobs = super().submit_many(requests, group, **how)
        self._own = frozenset(job.id for job in jobs)
        return jobs

    def claim(self, among: Collection[int] | None = None) -> Job | None:
        return super().claim(getattr(self, "_own", frozenset()) if among is None else among)


class HereStudio:
    """Follows `Studio`."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._words = load_words()["en"]
        fitting = Fitting(settings, look_without_torch)
        self._models = Models(lambda: fitting.in_order(parts.shelf.entries()), settings)
        loras = LoraReader(LoraFolders(settings.folders.models), self._models)
        self._counter = Counter(parts.queue, parts.supervisor, self._models, loras)
        self._tokens = TokenCounter(settings.folders.models)

    def queue(self) -> View:
        return queue_view(self._parts.queue.state(), self._words)

    def resume_queue(self) -> None:
        self._parts.queue.resume_queue()

    def order(self, values: Mapping[str, object]) -> tuple[int, ...]:
        return tuple(job.id for job in self._counter.take(values, client=CLIENT))

    def reading(self, values: Mapping[str, object]) -> View:
        model = self._models.get(values.get("model")) or self._models.first
        prompt = self._counter.outlook(values).prompt
        return reading_of(self._tokens.count(model, prompt), prompt, self._words)

    def job(self, job: int) -> View:
        return job_view(self._parts.supervisor.status(job), self._words)

    def stop(self, job: int) -> None:
        self._parts.supervisor.stop(job)

    def picture(self, picture: int) -> bytes:
        return self._parts.library.picture_path(picture).read_bytes()

    def place(self, picture: int) -> str:
        return str(self._parts.library.picture_path(picture))


class HereStock:
    """Follows `Stock`. Downloads that a person asked for elsewhere, and that wait, are not begun by it."""

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self._shelf = shelf
        self._settings = settings
        self._words = load_words()["en"]
        self._fitting = Fitting(settings, look_without_torch)
        self._places: set[str] = set()
        self._downloads = Downloads(shelf, only=self._places)

    def close(self) -> None:
        self._downloads.close()

    def models(self, hub: Hub) -> View:
        return shelf_view(self._downloads, self._fitting, hub, self._words)

    def act(self, name: str, act: str, hub: Hub, home: str = "") -> None:
        state = self._shelf.model(name)
        files = [item.file for item in state.items]
        places = {str(file.place) for file in files}
        self._places |= places
        match act:
            case "get":
                self._downloads.get(files, hub, self._shelf.folder.home_named(home))
            case "check":
                self._downloads.check(files, hub)
            case "pause":
                self._downloads.pause(places)
            case _:
                self._downloads.forget(str(item.file.place) for item in state.own_items)
                self._shelf.remove_model(name)

    def needs(self, name: str) -> str:
        history, address = self._settings.folders.history, self._settings.database_url
        if not address and not has_history(history):
            return ""
        with FolderLock(history), closing(Database(address or sqlite_url(history))) as database:
            database.open()
            return Needs(JobQueue(database), Library(database, history)).of_model(name, self._words)
