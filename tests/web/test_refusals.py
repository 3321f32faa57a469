"""How what cannot be done is said: a status, a code, and a sentence in the reader's language."""

import pytest
from starlette.testclient import TestClient

from tests.history.protected import Protection
from tests.web.conftest import House

V1 = "/api/v1"


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
        while not house.supervisor.unwritten():
            pass
        seen = client.get("/api/jobs?lang=en").json()
        assert "cannot be written to. Nothing is lost" in seen["queue"]["words"]
