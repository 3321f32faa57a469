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
