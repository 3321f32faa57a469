"""The doors: who may ask (Host), from which page (Origin), and which of Gradio's own routes stay shut.

Without the Host rule any web page a person visits could read and drive Darkroom by DNS rebinding; without the Origin
rule it could post to it. Must not know: what the routes do.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HARMLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# The page needs two of Gradio's routes below /gradio_api: its events, and the number by which it notices that a
# server was started anew. `gradio_client` needs three more for its one endpoint: what it takes, asking, and the answer.
# The others read files, fetch addresses, take uploads, run editors or store recordings.
OPEN_BELOW_GRADIO_API = re.compile(r"/gradio_api/(run/predict|app_id|info|queue/join|queue/data)")
SHUT_ELSEWHERE = re.compile(r"/(monitoring|login|logout|svelte|pwa_icon|docs|redoc|openapi\.json|runs)(/.*)?")
UNKNOWN_NAME = (
    "Darkroom does not answer to this name. Open it by its IP address, or add the name to server.names in config.yaml."
)
DOTS = re.compile(r"(^|/)\.\.(/|$)")


class Guard:
    """ASGI middleware. `names` are the host names Darkroom answers to, beside IP addresses."""

    def __init__(self, app: ASGIApp, *, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not is_known_host(host, self._names):
            return PlainTextResponse(UNKNOWN_NAME, status_code=421)
        if method not in HARMLESS_METHODS and not is_same_origin(headers, host):
            return PlainTextResponse("Darkroom answers only to its own page.", status_code=403)
        if is_shut(path):
            return PlainTextResponse("There is nothing here.", status_code=404)
        return None


def is_known_host(host: str, names: frozenset[str]) -> bool:
    """An IP address cannot be rebound by DNS, so every address is fine; a name must be one of ours."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name or "@" in host:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def is_same_origin(headers: Headers, host: str) -> bool:
    """Programs send no Origin; browsers send it with every request that changes something."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    return origin != "null" and urlsplit(origin).netloc.lower() == host.lower()


def is_shut(path: str) -> bool:
    if DOTS.search(path) or "\\" in path or "\0" in path:
        return True
    if path.startswith("/gradio_api"):
        return OPEN_BELOW_GRADIO_API.fullmatch(path) is None
    return SHUT_ELSEWHERE.fullmatch(path) is not None
