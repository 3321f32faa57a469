"""How what cannot be done is said: a status, a code, and a sentence in the reader's language."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.history.protected import Protection
from tests.jobs.waiting import eventually
from tests.web.conftest import House

V1 = "/api/v1"
ASCII_WORDS = re.compile(r"[A-Za-z]{2,}")


@pytest.mark.parametrize(("language", "words"), [("en", "cannot be written"), ("zh", "无法写入")])
def test_a_history_that_cannot_be_written_is_said_and_nothing_is_started(
    language: str, words: str, house: House, client: TestClient
) -> None:
    with Protection(house.database).on():
        for path in ("/api/jobs", f"{V1}/jobs"):
            answer = client.post(f"{path}?lang={language}", json={"prompt": "a lake"})
            assert (answer.status_code, answer.json()["error"]) == (503, "not_written_refused")
            assert words in answer.json()["words"]
    assert house.queue.unfinished_ids() == []


def test_the_page_is_told_why_nothing_begins_while_the_history_cannot_be_written(
    house: House, client: TestClient
) -> None:
    house.submit()
    protection = Protection(house.database)
    with protection.on():
        house.supervisor.start()
        eventually(house.supervisor.unwritten)
        seen = client.get("/api/jobs?lang=en").json()
        assert "cannot be written to. Nothing is lost" in seen["queue"]["words"]


SMALL_BODIES = ("/queue/front", "/queue/restore", "/queue/stop-after", "/jobs/1/move")


@pytest.mark.parametrize("path", SMALL_BODIES)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{broken", "What was sent: {broken is not possible. Allowed: a JSON object with values by name."),
        (b"", "What was sent is empty. Allowed: a JSON object with values by name."),
        (b"[1]", "What was sent: [1] is not possible. Allowed: a JSON object with values by name."),
    ],
)
def test_what_is_no_object_is_refused_as_what_was_sent(
    path: str, body: bytes, words: str, house: House, client: TestClient
) -> None:
    house.submit()
    answer = client.post(f"{V1}{path}?lang=en", content=body)
    assert (answer.status_code, answer.json()["words"]) == (422, words)


@pytest.mark.parametrize("path", SMALL_BODIES)
def test_no_more_of_a_body_is_read_than_there_can_be_use_for(path: str, house: House, client: TestClient) -> None:
    house.submit()
    answer = client.post(f"{V1}{path}?lang=en", content=b" " * 2**21)
    assert (answer.status_code, answer.json()["problems"][0]["allowed"]) == (422, "at most 1 MiB of data")


def test_a_body_is_read_whatever_type_its_sender_gives_it(house: House, client: TestClient) -> None:
    first, second = house.submit().id, house.submit().id
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post(f"{V1}/queue/stop-after", content=f'{{"job": {second}}}', headers=headers)
    assert (answer.status_code, answer.json()["stop_after"]) == (200, second)
    assert client.post(f"{V1}/queue/front", content=f'{{"ids": [{second}]}}', headers=headers).status_code == 200
    assert house.queue.unfinished_ids() == [second, first]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/queue/stop-after", {"jobs": 2}, "jobs"),
        ("/queue/stop-after", {}, "job"),
        ("/queue/stop-after", {"job": "2"}, "job"),
        ("/queue/front", {}, "ids"),
        ("/queue/front", {"ids": [1], "first": True}, "first"),
        ("/jobs/1/move", {}, "body"),
        ("/jobs/1/move", {"behind": 2}, "behind"),
        ("/jobs/1/move", {"before": 2, "by": 1}, "body"),
        ("/jobs/1/move", {"by": None}, "by"),
    ],
)
def test_a_misspelt_or_missing_field_changes_nothing(
    path: str, body: dict[str, Any], field: str, house: House, client: TestClient
) -> None:
    jobs = [house.submit().id for _ in range(3)]
    answer = client.post(V1 + path, json=body)
    assert answer.status_code == 422
    assert field in {problem["field"] for problem in answer.json()["problems"]}
    assert (house.queue.unfinished_ids(), house.queue.state().stop_after) == (jobs, None)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/jobs?state=睡", None),
        ("GET", "/history?order=睡", None),
        ("GET", "/history?starred=睡", None),
        ("GET", "/events?after=睡", None),
        ("POST", "/queue/front", {"ids": []}),
        ("POST", "/queue/front", {"ids": 1}),
        ("POST", "/queue/stop-after", {"job": 0}),
    ],
)
def test_a_refusal_in_chinese_has_no_english_sentence_in_it(
    method: str, path: str, body: Any, client: TestClient
) -> None:
    separator = "&" if "?" in path else "?"
    answer = client.request(method, f"{V1}{path}{separator}lang=zh", json=body)
    words = answer.json()["words"]
    assert answer.status_code == 422
    assert "允许" in words
    names = {"state", "order", "starred", "after", "job", "true", "false", "newest", "oldest"}
    names |= {"waiting", "running", "paused", "done", "failed", "cancelled"}
    assert set(ASCII_WORDS.findall(words)) <= names
    assert "图片" not in words


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/queue/nothing", 404, "not_found"),
        ("DELETE", "/jobs", 405, "method_not_allowed"),
        ("GET", "/queue/pause", 405, "method_not_allowed"),
    ],
)
def test_an_unknown_address_or_method_is_refused_like_all_else(
    method: str, path: str, status: int, code: str, client: TestClient
) -> None:
    answer = client.request(method, f"{V1}{path}?lang=zh")
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert "地址" in answer.json()["words"]
    if status == 405:
        assert answer.headers["allow"]
