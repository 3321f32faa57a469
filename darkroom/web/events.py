"""The door before Gradio's events: what is no event of the page is refused, so that nonsense is never a server error.

Must not know: what the events do.
"""

import json
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVENTS = "/gradio_api/run/predict"
LARGEST_EVENT = 4 * 2**20


class EventDoor:
    """An ASGI application around the page's. `refusal` is said to whoever sends something else."""

    def __init__(self, app: ASGIApp, page: gr.Blocks, refusal: str) -> None:
        self._app = app
        self._refusal = refusal
        # The events that reach Python, with how many values each sends.
        self._events = {number: len(event.inputs) for number, event in page.fns.items() if event.fn is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != EVENTS:
            await self._app(scope, receive, send)
            return
        body = bytearray()
        async for piece in Request(scope, receive).stream():
            body += piece
            if len(body) > LARGEST_EVENT:
                break
        if len(body) > LARGEST_EVENT or not self._is_event(bytes(body)):
            await JSONResponse({"error": self._refusal}, status_code=422)(scope, receive, send)
            return
        await self._app(scope, _again(bytes(body), receive), send)

    def _is_event(self, body: bytes) -> bool:
        try:
            event = json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return False
        if not isinstance(event, dict):
            return False
        number, values = event.get("fn_index"), event.get("data")
        if not isinstance(number, int) or isinstance(number, bool) or number not in self._events:
            return False
        return isinstance(values, list) and len(values) == self._events[number]


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the next reader; then whatever else comes."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
