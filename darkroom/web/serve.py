"""Serving an app at an address until a person or the system ends it. Must not know: what is served."""

import errno
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from darkroom.errors import InvalidConfig, Problem, shown

SECONDS_TO_FINISH = 1
LARGEST_PORT = 65535
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listening_socket(host: str, port: int) -> socket.socket:
    """Take the port before anything is started. Raises InvalidConfig when it cannot be had."""
    if not 0 <= port <= LARGEST_PORT:
        raise InvalidConfig(Problem(field="port", value=str(port), allowed=f"1 to {LARGEST_PORT}"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is: else each answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, ValueError) as error:
        listener.close()
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            problem = Problem(
                field="port",
                value=f"{port}, which another program uses",
                allowed="a free port. End that program, or choose another with --port",
            )
        elif number == errno.EACCES:
            problem = Problem(field="port", value=str(port), allowed="a port this user may take, such as 6006")
        else:
            problem = Problem(field="host", value=shown(host), allowed="an address of this machine, such as 127.0.0.1")
        raise InvalidConfig(problem) from error
    return listener


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Returns after SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        lifespan="on",
        ws="none",
        proxy_headers=False,
    )
    _AnnouncingServer(config, address_of(listener)).run(sockets=[listener])


def address_of(listener: socket.socket) -> str:
    """Where a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{here}:{port}"


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own sends the signal again at the end, which would end the process before the engine is ended."""
        before = {number: signal.signal(number, self.handle_exit) for number in ENDING_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(f"Darkroom is ready: {self._address}\n")
            sys.stdout.flush()
