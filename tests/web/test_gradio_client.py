"""Gradio's own client asks for pictures at "/submit": as through the API, refusals included."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.web.conftest import House

PATIENCE = 30


@pytest.fixture
def address(house: House) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(house.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    patient_until = time.monotonic() + PATIENCE
    while not (server.started and server.servers):
        assert time.monotonic() < patient_until
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE)


def client_of(address: str, **headers: str) -> Client:
    return Client(address, verbose=False, analytics_enabled=False, headers=headers, httpx_kwargs={"trust_env": False})


def test_an_order_becomes_jobs_of_the_client_that_is_named(address: str, house: House) -> None:
    client = client_of(address, **{"Darkroom-Client": "notebook"})
    told = client.predict({"prompt": "a {red|green} lake", "seed": 7, "steps": 2}, api_name="/submit")
    jobs = [house.queue.get(number) for number in told["jobs"]]
    assert [job.request.prompt for job in jobs] == ["a red lake", "a green lake"]
    assert {job.client for job in jobs} == {"notebook"}
    assert (told["seed"], told["group"]) == (7, jobs[0].group)


def test_what_the_form_refuses_is_refused_in_the_same_words(address: str, house: House) -> None:
    client = client_of(address)
    with pytest.raises(AppError, match=r"Steps: 0 is not possible\. Allowed: a whole number from 1 to 100\."):
        client.predict({"prompt": "a lake", "steps": 0}, api_name="/submit")
    with pytest.raises(AppError, match="no such field"):
        client.predict({"prompt": "a lake", "surprise": 1}, api_name="/submit")
    for nonsense in (None, [1], "text"):
        with pytest.raises(AppError):
            client.predict(nonsense, api_name="/submit")
    with pytest.raises(AppError, match="Darkroom-Client"):
        client_of(address, **{"Darkroom-Client": "no name!"}).predict({"prompt": "a lake"}, api_name="/submit")
    chinese = client_of(address, **{"Accept-Language": "zh"})
    with pytest.raises(AppError, match="允许"):
        chinese.predict({"prompt": "湖", "steps": 0}, api_name="/submit")
    assert house.queue.unfinished_ids() == []


def test_an_order_sent_again_with_its_key_is_taken_once(address: str, house: House) -> None:
    client = client_of(address, **{"Idempotency-Key": "first"})
    first, again = (client.predict({"prompt": "a lake"}, api_name="/submit") for _ in range(2))
    assert first["jobs"] == again["jobs"]
    assert len(house.queue.unfinished_ids()) == 1


@pytest.mark.parametrize(("key", "words"), [("k" * 201, "at most 200 characters"), ("", "at least 1 character")])
def test_a_key_that_the_api_refuses_is_refused(key: str, words: str, address: str, house: House) -> None:
    with pytest.raises(AppError, match=f"Idempotency-Key.*{words}"):
        client_of(address, **{"Idempotency-Key": key}).predict({"prompt": "a lake"}, api_name="/submit")
    assert house.queue.unfinished_ids() == []


def test_the_lines_of_the_documentation_do_what_they_say(
    address: str, house: House, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"^```py\n(.+?)^```$", (root / "docs" / "api.md").read_text("utf-8"), re.DOTALL | re.M)
    exec(program.replace("http://127.0.0.1:6006", address), {})
    assert "[1, 2]" in capsys.readouterr().out
    assert {house.queue.get(job).client for job in (1, 2)} == {"notebook"}
