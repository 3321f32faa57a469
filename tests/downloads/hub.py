"""A hub on this machine that answers as ModelScope and as Hugging Face do, and has every trouble a test asks for.

Listings and addresses are the hubs'; bytes come from a second server, its storage, by a redirect.
"""

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

PIECE = 16 << 10
LOG_IN_PAGE = b"<html><body>Welcome to our hotel. Please log in.</body></html>"
MS_LISTING = re.compile(r"/api/v1/models/(?P<repository>[^/]+/[^/]+)/repo/files")
MS_FILE = re.compile(r"/api/v1/models/(?P<repository>[^/]+/[^/]+)/repo")
HF_FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Trouble:
    """What goes wrong from now on. `statuses` are answered once each; `cuts` are after how many bytes a body breaks."""

    statuses: list[int] = field(default_factory=list)
    storage_statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    wrong_bytes: int = 0
    wrong_listing: bool = False
    no_ranges: bool = False
    slowness: float = 0.0
    retry_after: str = ""
    gated: bool = False
    log_in_page: bool = False
    no_checksums: bool = False
    token: str = ""


@dataclass
class Hub:
    """`files` are by repository and path."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    trouble: Trouble = field(default_factory=Trouble)
    address: str = ""
    storage: str = ""
    sent: int = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    extra_names: tuple[str, ...] = ()

    def put(self, repository: str, path: str, content: bytes) -> None:
        self.files[repository, path] = content


def content_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    hub.free.set()
    servers = [_server(hub, _HubHandler), _server(hub, _StorageHandler)]
    hub.address, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.free.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: Hub

    def handle_error(self, *_: Any) -> None:
        """A client that went away is nothing to speak of."""


def _server(hub: Hub, handler: type[BaseHTTPRequestHandler]) -> _Server:
    server = _Server(("127.0.0.1", 0), handler)
    server.hub = hub
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return cast(_Server, self.server).hub

    def log_message(self, *_: object) -> None:
        pass

    def note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((self.command, self.path, headers))

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if not any(name.lower() == "content_length" for name in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def say(self, status: int, value: object, **headers: str) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)


class _HubHandler(_Handler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.note()
        trouble = self.hub.trouble
        address = urlsplit(self.path)
        if trouble.log_in_page:
            self.answer(200, LOG_IN_PAGE, Content_Type="text/html")
        elif trouble.statuses:
            wait = {"Retry_After": trouble.retry_after} if trouble.retry_after else {}
            self.say(trouble.statuses.pop(0), {"Message": "trouble", "error": "trouble"}, **wait)
        elif trouble.gated and trouble.token not in self.headers.get("authorization", "-"):
            status = 401 if "authorization" not in self.headers else 403
            self.say(status, {"error": "gated"}, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        elif found := MS_LISTING.fullmatch(unquote(address.path)):
            self._list(found["repository"])
        elif found := MS_FILE.fullmatch(unquote(address.path)):
            self._give(found["repository"], parse_qs(address.query)["FilePath"][0])
        elif found := HF_FILE.fullmatch(unquote(address.path)):
            self._give(found["repository"], found["path"])
        else:
            self.say(404, {"Message": "nothing here"})

    def _list(self, repository: str) -> None:
        own = [(path, content) for (name, path), content in self.hub.files.items() if name == repository]
        if not own:
            self.say(404, {"Code": 10010205001, "Message": "no such repository", "Success": False})
            return
        wrong = b"!" if self.hub.trouble.wrong_listing else b""
        entries: list[dict[str, Any]] = [
            {"Path": path, "Size": len(content), "Sha256": hashlib.sha256(content + wrong).hexdigest(), "Type": "blob"}
            for path, content in own
        ]
        entries += [{"Path": name, "Size": 3, "Sha256": "0" * 64, "Type": "blob"} for name in self.hub.extra_names]
        self.say(200, {"Code": 200, "Success": True, "Data": {"Files": entries}})

    def _give(self, repository: str, path: str) -> None:
        content = self.hub.files.get((repository, path))
        if content is None:
            known = any(name == repository for name, _ in self.hub.files)
            code = "EntryNotFound" if known else "RepoNotFound"
            self.say(404 if known else 401, {"error": "not here"}, X_Error_Code=code)
            return
        large = path.endswith(".safetensors")
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        digest = hashlib.sha256(content + (b"!" if self.hub.trouble.wrong_listing else b"")).hexdigest()
        about = {"X_Repo_Commit": "a" * 40, "X_Linked_Size": str(len(content)), "ETag": '"1"'}
        if not self.hub.trouble.no_checksums:
            about |= dict.fromkeys(("X_Linked_Etag", "ETag"), f'"{digest if large else blob}"')
        if large:
            place = f"{self.hub.storage}/{quote(repository)}/{quote(path)}?signature=secret"
            self.answer(302, b"", Location=place, **about)
        elif self.command == "HEAD":
            self.answer(200, b"", Content_Length=str(len(content)), **about)
        else:
            self.answer(200, content, **about)


class _StorageHandler(_Handler):
    """Gives ranges, and breaks."""

    def do_GET(self) -> None:
        self.note()
        trouble = self.hub.trouble
        if trouble.storage_statuses:
            self.answer(trouble.storage_statuses.pop(0), b"trouble", Retry_After=trouble.retry_after or "0")
            return
        _, owner, name, path = unquote(urlsplit(self.path).path).split("/", 3)
        content = bytearray(self.hub.files[f"{owner}/{name}", path])
        if trouble.wrong_bytes:
            trouble.wrong_bytes -= 1
            content[len(content) // 2] ^= 255
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        start = int(wanted[1]) if wanted and not trouble.no_ranges else 0
        if start >= len(content) > 0:
            self.answer(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        self.send_response(206 if start or (wanted and not trouble.no_ranges) else 200)
        if wanted and not trouble.no_ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._send(bytes(content[start:]))

    def _send(self, body: bytes) -> None:
        trouble = self.hub.trouble
        cut = trouble.cuts.pop(0) if trouble.cuts else len(body)
        for begin in range(0, min(cut, len(body)), PIECE):
            self.hub.free.wait()
            piece = body[begin : min(begin + PIECE, cut)]
            self.wfile.write(piece)
            self.wfile.flush()
            self.hub.sent += len(piece)
            if trouble.slowness:
                time.sleep(trouble.slowness)
        if cut < len(body):
            self.close_connection = True
            self.connection.shutdown(2)
