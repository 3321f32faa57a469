"""Darkroom's entry: each object is built here, once, to serve until told to stop or to carry out one command.
Importing this file does nothing: the engine process imports it anew. Must not know: how any part works."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.cli.parts import MakeQueue, Parts
    from darkroom.config import Settings


def main() -> int | str:
    with suppress(KeyboardInterrupt):
        from darkroom.cli.command import carry_out

        return carry_out(sys.argv[1:], Path(__file__).with_name("config.yaml"), run, wired)
    return "Stopped."


def run(settings: "Settings", host: str, port: int) -> None:
    from darkroom.jobs.queue import JobQueue
    from darkroom.web.serve import address_of, listening_socket, serve
    from darkroom.web.server import create_app

    listener = listening_socket(host, port)
    with wired(settings, JobQueue, address_of(listener)) as parts:
        serve(create_app(settings, parts.queue, parts.library, parts.supervisor, shelf=parts.shelf), listener)


@contextmanager
def wired(settings: "Settings", make_queue: "MakeQueue", address: str = "") -> Iterator["Parts"]:
    from darkroom.cli.parts import Parts
    from darkroom.downloads.shelf import Shelf
    from darkroom.engine.process import serve as engine_main
    from darkroom.history.database import Database, sqlite_url
    from darkroom.history.library import Library
    from darkroom.history.lock import FolderLock
    from darkroom.jobs.process_engine import ProcessEngine, options_of
    from darkroom.jobs.supervisor import Supervisor
    from darkroom.origins import Origins

    history, shelf = settings.folders.history, Shelf(settings)
    with FolderLock(history, address):
        database = Database(settings.database_url or sqlite_url(history))
        database.open()
        queue, library = make_queue(database), Library(database, history, Origins(shelf).facts)
        library.sweep()
        engine = partial(ProcessEngine, engine_main, options_of(settings))
        supervisor = Supervisor(queue, library, engine, settings.engine.idle_minutes * 60, find_model=shelf.find)
        supervisor.start()
        with closing(database), closing(supervisor):
            yield Parts(queue=queue, library=library, supervisor=supervisor, shelf=shelf)


if __name__ == "__main__":
    sys.exit(main())
