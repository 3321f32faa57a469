"""The page itself, as it is sent."""

import pytest
from starlette.testclient import TestClient


def test_each_language_has_its_own_page(client: TestClient) -> None:
    assert "提示词" in client.get("/", headers={"accept-language": "zh"}).text
    client.cookies.set("darkroom_language", "zh")
    assert "提示词" in client.get("/", headers={"accept-language": "en"}).text
    client.cookies.set("darkroom_language", "<nonsense>")
    assert "提示词" not in client.get("/").text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"fn_index": 99, "data": []}',
        b'{"fn_index": true, "data": []}',
        b'{"fn_index": "reuse", "data": null}',
        b'{"fn_index": 0, "data": [1, 2, 3], "event_data": {"id": NaN}}',
        b'{"data": [1], "api_name": "/reuse"}',
        b"x" * (5 * 2**20),
    ],
    ids=range(10),
)
def test_what_is_no_event_of_the_page_is_refused(body: bytes, client: TestClient) -> None:
    answer = client.post("/gradio_api/run/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]


QUEUED = "/gradio_api/queue/join"


def test_only_the_endpoint_for_programs_is_open_to_the_queue_of_gradio(client: TestClient) -> None:
    config = client.get("/config").json()
    (submit,) = (each for each in config["dependencies"] if each["api_visibility"] == "public" and each["backend_fn"])
    assert submit["api_name"] == "submit"
    for each in config["dependencies"]:
        if each["id"] != submit["id"]:
            body = {"fn_index": each["id"], "data": [None] * len(each["inputs"]), "session_hash": "x"}
            assert client.post(QUEUED, json=body).status_code == 422
    body = {"fn_index": submit["id"], "data": [{"prompt": "a lake"}], "session_hash": "x"}
    assert client.post("/gradio_api/run/predict", json=body).status_code == 422
    assert client.post(QUEUED, json={**body, "data": []}).status_code == 422
    assert client.post(QUEUED, content=b"nonsense").status_code == 422
    assert list(client.get("/gradio_api/info?serialize=False").json()["named_endpoints"]) == ["/submit"]


@pytest.mark.parametrize("query", ["", "?session_hash=", "?session_hash=unknown"])
def test_who_has_asked_nothing_hears_nothing(query: str, client: TestClient) -> None:
    assert client.get(f"/gradio_api/queue/data{query}").status_code == 404
