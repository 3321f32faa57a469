"""The door before Gradio's events: what is no event of the page is refused, so that nonsense is never a server error.

Must not know: what the events do.
"""

import json
from collections.abc import Container, Mapping
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVENTS = "/gradio_api/run/predict"
# The way of `gradio_client`: only what is open to it can be asked there.
QUEUED = "/gradio_api/queue/join"
ANSWERS = "/gradio_api/queue/data"
LARGEST_EVENT = 4 * 2**20


class EventDoor:
    """An ASGI application around the page's. `refusal` is said to whoever sends something else."""

    def __init__(self, app: ASGIApp, page: gr.Blocks, refusal: str) -> None:
        self._app = app
        self._refusal = refusal
        self._asking: Container[str] = page._queue.pending_messages_per_session
        # The events that reach Python, with how many values each sends.
        reaching = {number: event for number, event in page.fns.items() if event.fn is not None}
        self._events = {
            EVENTS: {number: len(event.inputs) for number, event in reaching.items() if not event.queue},
            QUEUED: {number: len(event.inputs) for number, event in reaching.items() if event.queue},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == ANSWERS:
            # Whoever has asked nothing would be answered by a fault in the middle of a stream.
            known = Request(scope).query_params.get("session_hash", "") in self._asking
            refusal = JSONResponse({"error": self._refusal}, status_code=404)
            await (self._app if known else refusal)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._events:
            await self._app(scope, receive, send)
            return
        body = bytearray()
        async for piece in Request(scope, receive).stream():
            body += piece
            if len(body) > LARGEST_EVENT:
                break
        if len(body) > LARGEST_EVENT or not self._is_event(bytes(body), self._events[scope["path"]]):
            await JSONResponse({"error": self._refusal}, status_code=422)(scope, receive, send)
            return
        await self._app(scope, _again(bytes(body), receive), send)

    def _is_event(self, body: bytes, events: Mapping[int, int]) -> bool:
        try:
            event = json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return False
        if not isinstance(event, dict):
            return False
        number, values = event.get("fn_index"), event.get("data")
        if not isinstance(number, int) or isinstance(number, bool) or number not in events:
            return False
        return isinstance(values, list) and len(values) == events[number]


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
