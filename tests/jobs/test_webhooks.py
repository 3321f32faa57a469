"""Webhooks: what is told, when, to whom never, and that nobody waits for them."""

import http.server
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from darkroom.history.library import Library
from darkroom.jobs.outside import AddressRefused, is_public, post
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.webhooks import Hooks, Webhooks
from tests.history.examples import request
from tests.jobs.test_queue import finish
from tests.jobs.waiting import eventually

HOOKS = Hooks(on_job_done="https://example.org/job", on_queue_empty="https://example.org/empty")


class Listener:
    """Answers as told, and keeps what it heard."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, address: str, body: bytes) -> int:
        self.heard.append((address, json.loads(body)))
        answer = self._answers.pop(0) if self._answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self) -> list[str]:
        return [content["event"] for _, content in self.heard]


def end(queue: JobQueue, library: Library, how: str = "done") -> int:
    job = queue.submit(request(), client="desk").id
    queue.claim()
    match how:
        case "done":
            finish(library, job)
        case "failed":
            queue.fail(job, "out_of_memory", "x")
        case _:
            queue.cancel(job)
    return job


def test_each_end_and_the_empty_queue_are_told(queue: JobQueue, library: Library) -> None:
    end(queue, library)
    listener = Listener()
    with Webhooks(HOOKS, queue, send=listener):
        done = end(queue, library)
        eventually(lambda: len(listener.heard) == 2)
        failed = end(queue, library, "failed")
        eventually(lambda: len(listener.heard) == 4)
        end(queue, library, "cancelled")
        eventually(lambda: len(listener.heard) == 5)
    assert listener.events() == ["job_done", "queue_empty", "job_done", "queue_empty", "queue_empty"]
    address, told = listener.heard[0]
    assert address == HOOKS.on_job_done
    assert {name: told[name] for name in ("job", "state", "picture", "client", "error")} == {
        "job": done,
        "state": "done",
        "picture": 2,
        "client": "desk",
        "error": None,
    }
    _, told = listener.heard[2]
    assert (told["job"], told["state"], told["error"]) == (failed, "failed", "out_of_memory")


def test_giving_up_what_failed_ends_nothing_once_more(queue: JobQueue, library: Library) -> None:
    listener = Listener()
    with Webhooks(HOOKS, queue, send=listener):
        failed = end(queue, library, "failed")
        eventually(lambda: len(listener.heard) == 2)
        queue.dismiss(failed)
        time.sleep(0.7)
        end(queue, library)
        eventually(lambda: len(listener.heard) == 4)
    assert listener.events() == ["job_done", "queue_empty", "job_done", "queue_empty"]


def test_a_queue_in_which_something_waits_is_not_empty(queue: JobQueue, library: Library) -> None:
    listener = Listener()
    with Webhooks(HOOKS, queue, send=listener):
        first = queue.submit(request()).id
        queue.submit(request())
        queue.claim()
        finish(library, first)
        eventually(lambda: len(listener.heard) == 1)
        time.sleep(0.7)
    assert listener.events() == ["job_done"]


def test_without_addresses_nothing_is_started(queue: JobQueue) -> None:
    before = threading.active_count()
    with Webhooks(Hooks(), queue):
        assert threading.active_count() == before


@pytest.mark.parametrize("answers", [[500, 429], [OSError("refused"), TimeoutError("timed out")]])
def test_who_does_not_answer_is_asked_again(answers: list[Any], queue: JobQueue, library: Library) -> None:
    listener = Listener(*answers)
    with Webhooks(Hooks(on_job_done="https://example.org"), queue, send=listener, waits=(0.01, 0.01)):
        end(queue, library)
        eventually(lambda: len(listener.heard) == 3)


@pytest.mark.parametrize("answer", [404, 302, AddressRefused("127.0.0.1")])
def test_who_refuses_is_not_asked_again(
    answer: Any, queue: JobQueue, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(answer)
    with Webhooks(Hooks(on_job_done="https://example.org"), queue, send=listener, waits=(0.01, 0.01)):
        end(queue, library)
        eventually(lambda: "example.org" in caplog.text)
        second = end(queue, library)
        eventually(lambda: len(listener.heard) == 2)
    assert listener.heard[1][1]["job"] == second


def test_the_queue_does_not_wait_for_a_listener_that_hangs(queue: JobQueue, library: Library) -> None:
    go_on, answered = threading.Event(), threading.Event()

    def hang(address: str, body: bytes) -> int:  # noqa: ARG001
        go_on.wait(60)
        answered.set()
        return 200

    with Webhooks(HOOKS, queue, send=hang):
        for _ in range(20):
            end(queue, library)
    assert not answered.is_set()
    go_on.set()


# --- where a call may go


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.5",
            "172.16.9.9",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "255.255.255.255"),
    ],
)
def test_this_machine_and_its_neighbours_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_the_world_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """An address on this machine, and what came there: path, host and body."""
    heard: list[tuple[str, str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["Host"], body))
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    server.shutdown()
    server.server_close()


def test_a_private_address_is_called_only_when_allowed(server: tuple[str, list[tuple[str, str, bytes]]]) -> None:
    address, heard = server
    with pytest.raises(AddressRefused, match=r"webhooks\.allow_private"):
        post(address, b"{}", timeout=5, allow_private=False)
    with pytest.raises(AddressRefused):
        post(address.replace("127.0.0.1", "localhost"), b"{}", timeout=5, allow_private=False)
    assert heard == []
    assert post(f"{address}/hook?a=1", b'{"a": 1}', timeout=5, allow_private=True) == 200
    assert heard == [("/hook?a=1", address.removeprefix("http://"), b'{"a": 1}')]


def test_redirects_are_not_followed(server: tuple[str, list[tuple[str, str, bytes]]]) -> None:
    address, heard = server
    assert post(f"{address}/away", b"{}", timeout=5, allow_private=True) == 302
    assert len(heard) == 1


Resolve = Callable[..., list[Any]]


def resolving_to(*addresses: str) -> Resolve:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:  # noqa: ARG001
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


def test_a_name_is_refused_when_any_of_its_addresses_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("93.184.216.34", "10.0.0.1"))
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        post("http://example.org", b"{}", timeout=1, allow_private=False)


def test_a_name_that_changes_its_mind_is_called_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    called: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return resolving_to("93.184.216.34" if len(asked) == 1 else "127.0.0.1")(host, port)

    def connect(where: tuple[str, int], timeout: float) -> socket.socket:  # noqa: ARG001
        called.append(where[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        post("http://example.org", b"{}", timeout=1, allow_private=False)
    assert (asked, called) == (["example.org"], ["93.184.216.34"])


def test_what_answers_no_http_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            line, _ = listener.accept()
            line.recv(1000)
            line.sendall(b"nonsense\r\n\r\n")
            line.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(OSError, match="no answer of HTTP"):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}", b"{}", timeout=5, allow_private=True)
