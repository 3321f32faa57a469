"""Darkroom's entry: read the settings, build each object once, serve until told to stop.
Importing this file does nothing: the engine process imports it anew. Must not know: how any part works.
"""

import argparse
import sys
from functools import partial
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="Darkroom: a page that makes pictures with FLUX.1")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"), help="settings file")
    parser.add_argument("--host", help="address to listen on, instead of the one in the settings")
    parser.add_argument("--port", type=int, help="port to listen on, instead of the one in the settings")
    from darkroom.errors import DarkroomError

    try:
        run(**vars(parser.parse_args()))
    except DarkroomError as error:
        sys.stderr.write(f"Darkroom cannot start: {error}\n")
        return 2
    return 0


def run(config: Path, host: str | None, port: int | None) -> None:
    from darkroom.config import load_settings
    from darkroom.engine.process import serve as engine_main
    from darkroom.history.database import Database, sqlite_url
    from darkroom.history.library import Library
    from darkroom.history.lock import FolderLock
    from darkroom.jobs.process_engine import ProcessEngine, options_of
    from darkroom.jobs.queue import JobQueue
    from darkroom.jobs.supervisor import Supervisor
    from darkroom.logs import start_logging
    from darkroom.web.serve import listening_socket, serve
    from darkroom.web.server import create_app

    settings = load_settings(config)
    start_logging("server", settings.logging.level)
    history, server = settings.folders.history, settings.server
    listener = listening_socket(host or server.host, server.port if port is None else port)
    lock = FolderLock(history)
    lock.acquire()
    database = Database(settings.database_url or sqlite_url(history))
    database.open()
    queue, library = JobQueue(database), Library(database, history)
    library.sweep()
    start_engine = partial(ProcessEngine, engine_main, options_of(settings))
    supervisor = Supervisor(queue, library, start_engine, settings.engine.idle_minutes * 60)
    supervisor.start()
    try:
        serve(create_app(settings, queue, library, supervisor), listener)
    finally:
        supervisor.close()
        database.close()


if __name__ == "__main__":
    sys.exit(main())
