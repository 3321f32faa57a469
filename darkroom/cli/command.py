"""A command from its words to its exit code: 0 done, 1 failed or refused, 2 a value that is not allowed.

Where a Darkroom runs on the history, it is asked; else this process does what it would do, and then ends.
Must not know: how parts are wired.
"""

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from darkroom.cli.arguments import read_arguments
from darkroom.cli.darkroom import Stock, Studio
from darkroom.cli.generate import generate, wish_of
from darkroom.cli.here import HereStock, HereStudio, OwnQueue
from darkroom.cli.models import check_models, get_model, list_models, remove_model
from darkroom.cli.parts import Wire
from darkroom.cli.running import Running
from darkroom.cli.terminal import Terminal, open_what_is_closed
from darkroom.config import Settings, load_settings
from darkroom.downloads.shelf import Shelf
from darkroom.errors import DarkroomError, HistoryUnusable, InvalidConfig, InvalidRequest, Problem, shown
from darkroom.history.lock import FolderLock
from darkroom.logs import start_logging
from darkroom.web.importing import import_gradio
from darkroom.weights import Hub

FAILED, BAD_USE = 1, 2
PROXY_VARIABLES = ("all_proxy", "http_proxy", "https_proxy")
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

Serve = Callable[[Settings, str, int], None]


def carry_out(words: Sequence[str], config: Path, serve: Serve, wire: Wire) -> int:
    """The exit code. Without a command the page is served."""
    open_what_is_closed()
    said = read_arguments(words, config)
    if said.command is None:
        return _served(said, config, serve)
    terminal = Terminal(as_json=said.json)
    code = _commanded(said, config, wire, terminal)
    if terminal.unwritten:
        terminal.trouble(terminal.unwritten)
        return code or FAILED
    return code


def _commanded(said: Namespace, config: Path, wire: Wire, terminal: Terminal) -> int:
    # As Ctrl + C: what was begun is stopped, and the engine is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Failures are told at the end.
        settings = _quiet(_settings(said, config), "error")
        start_logging("command", settings.logging.level)
        if said.command == "models":
            _check_proxies()
            with _stock(settings) as stock:
                return _on_models(said, stock, settings.models.source, terminal)
        wish = wish_of(said)
        with _studio(settings, wire) as studio:
            return generate(studio, wish, terminal)
    except (InvalidConfig, InvalidRequest) as error:
        return _refused(error, BAD_USE, terminal)
    except DarkroomError as error:
        return _refused(error, FAILED, terminal)
    except KeyboardInterrupt:
        terminal.trouble("Stopped.")
        terminal.result({"error": "stopped", "words": "Stopped."})
        return FAILED


def _settings(said: Namespace, usual: Path) -> Settings:
    """A file that was named has to be there; the usual one need not."""
    return load_settings(said.config, must_be_there=said.config is not usual)


def _served(said: Namespace, config: Path, serve: Serve) -> int:
    try:
        settings = _settings(said, config)
        _check_proxies()
        start_logging("server", settings.logging.level)
        host, port = said.host or settings.server.host, settings.server.port if said.port is None else said.port
        # What was said on the command line is what the doors go by, too.
        server = settings.server.model_copy(update={"host": host, "port": port})
        # Before whoever serves imports the page.
        import_gradio()
        serve(settings.model_copy(update={"server": server}), host, port)
    except DarkroomError as error:
        sys.stderr.write(f"Darkroom cannot start: {error}\n")
        return BAD_USE
    return 0


def _check_proxies() -> None:
    """Libraries end with a traceback over another kind. Raises InvalidConfig."""
    for name, address in os.environ.items():
        scheme, is_whole, _ = address.strip().partition("://")
        if name.lower() in PROXY_VARIABLES and is_whole and scheme.lower() not in PROXY_SCHEMES:
            kinds = ", ".join(f"{each}://" for each in PROXY_SCHEMES)
            # The rest of it may hold a password.
            raise InvalidConfig(
                Problem(field=name, value=shown(f"{scheme}://…"), allowed=f"an address that begins with one of {kinds}")
            )


def _on_models(said: Namespace, stock: Stock, source: Hub, terminal: Terminal) -> int:
    match said.act:
        case "list":
            return list_models(stock, source, terminal)
        case "get":
            return get_model(stock, said.name, said.hub or source, terminal, said.home)
        case "check":
            return check_models(stock, said.name, source, terminal)
        case _:
            return remove_model(stock, said.name, source, terminal, agreed=said.yes)


def _refused(error: DarkroomError, code: int, terminal: Terminal) -> int:
    terminal.trouble(str(error))
    terminal.result({"error": error.code, "words": str(error)})
    return code


@contextmanager
def _studio(settings: Settings, wire: Wire) -> Iterator[Studio]:
    address = _running_at(settings)
    if address:
        with Running(address) as running:
            yield running
    else:
        with wire(settings, OwnQueue) as parts:
            yield HereStudio(parts, settings)


@contextmanager
def _stock(settings: Settings) -> Iterator[Stock]:
    address = _running_at(settings)
    if address:
        with Running(address) as running:
            yield running
    else:
        with closing(HereStock(Shelf(settings), settings)) as stock:
            yield stock


def _running_at(settings: Settings) -> str:
    """The address of the Darkroom that has locked the history; "": none has, or a command that has no address."""
    lock = FolderLock(settings.folders.history)
    try:
        lock.acquire()
    except HistoryUnusable as error:
        if error.reason != "in_use":
            raise
        return lock.address_of_holder()
    lock.release()
    return ""


def _quiet(settings: Settings, level: str) -> Settings:
    """Progress is shown by other means: the usual lines of the log would tear it apart."""
    if settings.logging.level != "info":
        return settings
    return settings.model_copy(update={"logging": settings.logging.model_copy(update={"level": level})})
