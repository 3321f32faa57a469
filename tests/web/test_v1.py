"""The API for programs: its stable names, its rules, and that nothing is lost between many of them."""

import html
import json
import re
import threading
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.web.words import load_words
from tests.web.conftest import House

V1 = "/api/v1"
OPERATIONS = {
    "submit": ("POST", "/jobs"),
    "list_jobs": ("GET", "/jobs"),
    "job": ("GET", "/jobs/{job}"),
    "preview": ("GET", "/jobs/{job}/preview"),
    "job_picture": ("GET", "/jobs/{job}/picture"),
    "move_job": ("POST", "/jobs/{job}/move"),
    "cancel_job": ("POST", "/jobs/{job}/cancel"),
    "retry_job": ("POST", "/jobs/{job}/retry"),
    "dismiss_job": ("POST", "/jobs/{job}/dismiss"),
    "dismiss_failed": ("POST", "/queue/dismiss"),
    "retry_failed": ("POST", "/queue/retry"),
    "pause_job": ("POST", "/jobs/{job}/pause"),
    "finish_job": ("POST", "/jobs/{job}/finish"),
    "resume_job": ("POST", "/jobs/{job}/resume"),
    "cancel_group": ("POST", "/groups/{group}/cancel"),
    "events": ("GET", "/events"),
    "queue_state": ("GET", "/queue"),
    "queue_jobs": ("GET", "/queue/jobs"),
    "pause_queue": ("POST", "/queue/pause"),
    "resume_queue": ("POST", "/queue/resume"),
    "stop_after": ("POST", "/queue/stop-after"),
    "move_to_front": ("POST", "/queue/front"),
    "cancel_waiting": ("POST", "/queue/cancel"),
    "restore_cancelled": ("POST", "/queue/restore"),
    "release_engine": ("POST", "/engine/release"),
    "history": ("GET", "/history"),
    "picture": ("GET", "/pictures/{picture}"),
    "picture_file": ("GET", "/pictures/{picture}/file"),
}
"""What programs rely on: it may grow, and nothing of it may go."""

NAMES = {
    "JobView": "id state created_at started_at finished_at attempts client group request progress error rung faults"
    " picture",
    "ProgressView": "activity step of fraction seconds_left ahead preview_number seconds_per_step expected_seconds"
    " counted",
    "ErrorView": "code detail",
    "FaultView": "kind stage rung at",
    "OrderView": "jobs group",
    "JobList": "jobs next",
    "QueueView": "paused code stop_after waiting running paused_jobs seconds_left unknown",
    "EventList": "events after",
    "PictureView": "id job created_at width height starred in_trash request facts file thumbnail",
    "PictureList": "pictures next",
    "Refusal": "error words problems",
    "ProblemView": "field value allowed words",
}


def ask(client: TestClient, **values: Any) -> list[int]:
    """The jobs of an order."""
    answer = client.post(f"{V1}/jobs", json={"prompt": "a lake", "steps": 1, "width": 256, "height": 256, **values})
    assert answer.status_code == 201, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def line(client: TestClient) -> list[int]:
    return [job["id"] for job in client.get(f"{V1}/queue/jobs").json()["jobs"]]


def wait_until_done(client: TestClient, job: int) -> dict[str, Any]:
    patient_until = time.monotonic() + 60
    while time.monotonic() < patient_until:
        found: dict[str, Any] = client.get(f"{V1}/jobs/{job}").json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_the_names_programs_rely_on_stay(client: TestClient) -> None:
    described = client.get(f"{V1}/openapi.json").json()
    found = {
        operation["operationId"]: (method.upper(), path)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert OPERATIONS.items() <= found.items()
    for schema, names in NAMES.items():
        assert set(names.split()) <= described["components"]["schemas"][schema]["properties"].keys(), schema
    order = described["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"prompt", "seed", "steps", "width", "height", "model", "loras", "count", "lines", "last_seed"} <= set(order)


def test_answers_have_the_names_that_are_described(house: House, client: TestClient) -> None:
    house.picture()
    (job,) = ask(client)
    assert set(NAMES["JobView"].split()) == set(client.get(f"{V1}/jobs/{job}").json())
    assert set(NAMES["PictureView"].split()) == set(client.get(f"{V1}/pictures/1").json())
    assert set(NAMES["QueueView"].split()) == set(client.get(f"{V1}/queue").json())


def test_files_are_described_by_their_type(client: TestClient) -> None:
    paths = client.get(f"{V1}/openapi.json").json()["paths"]
    for path, kind in (("picture", "png"), ("preview", "jpeg")):
        assert list(paths[f"/jobs/{{job}}/{path}"]["get"]["responses"]["200"]["content"]) == [f"image/{kind}"]
    assert list(paths["/pictures/{picture}/file"]["get"]["responses"]["200"]["content"]) == ["image/png"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_document_names_every_address_and_fetches_nothing(language: str, client: TestClient) -> None:
    page = client.get(f"{V1}/docs?lang={language}")
    assert page.status_code == 200
    for name, (method, path) in OPERATIONS.items():
        assert f"<b>{method}</b> <code>{V1}{path}</code>" in page.text, name
    assert re.findall(r'(?:src|href)="(?!/)[^"]*"', page.text) == []
    assert "<script" not in page.text
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", page.text, flags=re.DOTALL)
    words = next(words for words in load_words().values() if words.language == language)
    assert words.say("api.about") in html.unescape(page.text)


def test_a_program_gets_its_picture(house: House, client: TestClient) -> None:
    house.supervisor.start()
    (job,) = ask(client, seed=5)
    done = wait_until_done(client, job)
    assert (done["state"], done["request"]["seed"], done["error"]) == ("done", 5, None)
    png = client.get(f"{V1}/jobs/{job}/picture")
    assert png.headers["content-type"] == "image/png"
    assert png.content == client.get(f"{V1}/pictures/{done['picture']}/file").content
    assert client.get(f"{V1}/jobs/{job}/preview").headers["content-type"] == "image/jpeg"
    (listed,) = client.get(f"{V1}/history").json()["pictures"]
    assert listed["request"] == done["request"]
    assert client.get(listed["file"]).content == client.get(listed["file"]).content == png.content


def test_what_is_not_there_is_said_so(client: TestClient) -> None:
    (job,) = ask(client)
    for path in ("/jobs/99", "/jobs/99/preview", f"/jobs/{job}/picture", f"/jobs/{job}/preview", "/pictures/1"):
        answer = client.get(V1 + path)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), path
        assert answer.json()["words"]
    assert client.get(f"{V1}/nothing").status_code == 404


def test_refusals_are_those_of_the_form(client: TestClient) -> None:
    wrong = {"steps": 0, "count": 501}
    by_api = client.post(f"{V1}/jobs?lang=zh", json=wrong)
    by_form = client.post("/api/jobs?lang=zh", json=wrong)
    assert (by_api.status_code, by_api.json()) == (by_form.status_code, by_form.json())
    assert {problem["field"] for problem in by_api.json()["problems"]} == {"steps", "count"}


def test_what_a_jobs_state_does_not_allow_is_a_conflict(client: TestClient) -> None:
    (job,) = ask(client)
    for action in ("retry", "dismiss", "pause", "resume", "finish"):
        answer = client.post(f"{V1}/jobs/{job}/{action}")
        assert (answer.status_code, answer.json()["error"]) == (409, "not_possible_now"), action
    client.post(f"{V1}/jobs/{job}/cancel")
    for path, body in ((f"/jobs/{job}/move", {"before": None}), ("/queue/stop-after", {"job": job})):
        assert client.post(V1 + path, json=body).status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/jobs?state=sleeping", None),
        ("GET", "/jobs?limit=0", None),
        ("GET", "/jobs?cursor=x", None),
        ("GET", "/events?after=x", None),
        ("GET", "/events?after=1.1&wait=900", None),
        ("GET", "/jobs/0", None),
        ("POST", "/queue/front", {"ids": []}),
        ("POST", "/queue/front", {"ids": ["x"]}),
        ("POST", "/queue/stop-after", {"job": -1}),
        ("POST", "/jobs/1/move", {"before": "x"}),
        ("POST", "/jobs", []),
    ],
)
def test_nonsense_is_refused_in_words(method: str, path: str, body: Any, client: TestClient) -> None:
    answer = client.request(method, V1 + path, json=body)
    assert answer.status_code == 422
    assert answer.json()["words"]
    assert answer.json()["problems"]


def test_an_order_sent_again_with_its_key_is_taken_once(client: TestClient) -> None:
    def send(values: dict[str, Any], client_name: str = "desk") -> Any:
        headers = {"Idempotency-Key": "lake-1", "Darkroom-Client": client_name}
        return client.post(f"{V1}/jobs", json=values, headers=headers)

    first = send({"prompt": "a lake", "count": 3}).json()
    assert send({"count": 3, "prompt": "a lake"}).json() == first
    assert len(first["jobs"]) == len(client.get(f"{V1}/jobs").json()["jobs"]) == 3
    refused = send({"prompt": "a pond"})
    assert (refused.status_code, refused.json()["problems"][0]["field"]) == (422, "Idempotency-Key")
    assert send({"prompt": "a pond"}, client_name="phone").status_code == 201


def test_jobs_are_listed_page_by_page(client: TestClient) -> None:
    jobs = ask(client, count=5)
    first = client.get(f"{V1}/jobs?limit=3").json()
    second = client.get(f"{V1}/jobs", params={"limit": 3, "cursor": first["next"]}).json()
    assert [job["id"] for job in first["jobs"] + second["jobs"]] == jobs[::-1]
    assert second["next"] is None
    assert client.get(f"{V1}/jobs?state=done&state=failed").json() == {"jobs": [], "next": None}
    ahead = [job["progress"]["ahead"] for job in client.get(f"{V1}/jobs?state=waiting").json()["jobs"]]
    assert ahead == [4, 3, 2, 1, 0]


def test_the_line_is_changed_by_hand(client: TestClient) -> None:
    a, b, c, d = ask(client, count=4)
    client.post(f"{V1}/queue/front", json={"ids": [d, c]})
    assert line(client) == [d, c, a, b]
    moved = client.post(f"{V1}/jobs/{b}/move", json={"before": c}).json()
    assert (moved["id"], moved["progress"]["ahead"]) == (b, 1)
    client.post(f"{V1}/jobs/{d}/move", json={"before": None})
    assert line(client) == [b, c, a, d]
    assert client.post(f"{V1}/jobs/{a}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{V1}/jobs/{a}/retry").json()["state"] == "waiting"
    assert line(client) == [b, c, d, a]
    client.post(f"{V1}/jobs/{a}/move", json={"by": -2})
    assert line(client) == [b, a, c, d]
    client.post(f"{V1}/jobs/{b}/move", json={"by": 9})
    assert line(client) == [a, c, d, b]
    unknown = client.post(f"{V1}/jobs/{a}/move", json={"before": 99})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")
    assert client.post(f"{V1}/queue/cancel").json() == {"cancelled": [a, c, d, b]}
    assert client.post(f"{V1}/queue/restore", json={"ids": [b, c, d, 99]}).json() == {"restored": [c, d, b]}
    assert line(client) == [c, d, b]


def test_one_that_rests_is_before_nobody_wherever_it_is_asked(house: House, client: TestClient) -> None:
    rests, *others = ask(client, count=4)
    house.queue.claim()
    house.queue.pause_job(rests, None)
    for running in (0, 1):
        waiting = others[running:]
        expected = {job: place + running for place, job in enumerate(waiting)}
        answers = {
            "jobs": client.get(f"{V1}/jobs").json()["jobs"],
            "line": client.get(f"{V1}/queue/jobs").json()["jobs"],
            "events": client.get(f"{V1}/events?after=0.0").json()["events"],
            "each": [client.get(f"{V1}/jobs/{job}").json() for job in waiting],
        }
        for name, jobs in answers.items():
            found = {job["id"]: job["progress"]["ahead"] for job in jobs if job["state"] == "waiting"}
            assert found == expected, name
        seen = client.get("/api/jobs").json()["jobs"]
        assert {job["id"]: job["ahead"] for job in seen if job["state"] == "waiting"} == expected
        house.queue.claim()


def test_what_failed_can_be_given_up_and_still_says_why(house: House, client: TestClient) -> None:
    failed = ask(client, count=4)
    for job in failed:
        house.queue.claim()
        house.queue.fail(job, "engine_fault", "x")
    given_up = client.post(f"{V1}/jobs/{failed[1]}/dismiss").json()
    assert (given_up["state"], given_up["error"]["code"]) == ("cancelled", "engine_fault")
    assert client.post(f"{V1}/jobs/{failed[0]}/retry").json()["state"] == "waiting"
    assert client.post(f"{V1}/queue/dismiss").json() == {"dismissed": failed[2:]}
    assert client.get(f"{V1}/jobs?state=failed").json()["jobs"] == []
    assert client.post(f"{V1}/jobs/{failed[1]}/retry").json()["state"] == "waiting"


def test_all_that_failed_is_tried_again_in_its_order(house: House, client: TestClient) -> None:
    failed = ask(client, count=3)
    for job in failed:
        house.queue.claim()
        house.queue.fail(job, "engine_fault", "x")
    (later,) = ask(client, count=1)
    assert client.post(f"{V1}/queue/retry").json() == {"retried": failed}
    assert line(client) == [later, *failed]
    assert all(house.queue.get(job).error_code is None for job in failed)


def test_a_group_is_cancelled_whole(house: House, client: TestClient) -> None:
    order = client.post(f"{V1}/jobs", json={"prompt": "{a|b|c}"}).json()
    others = ask(client, count=2)
    house.queue.claim()
    cancelled = client.post(f"{V1}/groups/{order['group']}/cancel").json()["cancelled"]
    assert sorted(cancelled) == [job["id"] for job in order["jobs"]]
    assert line(client) == [order["jobs"][0]["id"], *others]


@pytest.mark.parametrize("what", ["queue", "group"])
def test_of_what_is_cancelled_no_checkpoint_is_left(what: str, house: House, client: TestClient) -> None:
    order = client.post(f"{V1}/jobs", json={"prompt": "a lake", "count": 2}).json()
    job = order["jobs"][0]["id"]
    house.queue.claim()
    house.queue.put_back(job, checkpoint=house.library.checkpoints.keep(job, b"half of it"))
    path = "/queue/cancel" if what == "queue" else f"/groups/{order['group']}/cancel"
    assert job in client.post(V1 + path).json()["cancelled"]
    assert house.library.checkpoints.of(job) is None


def test_the_queue_is_paused_and_goes_on(house: House, client: TestClient) -> None:
    assert client.post(f"{V1}/queue/pause").json()["paused"] is True
    house.supervisor.start()
    (job,) = ask(client)
    time.sleep(0.3)
    assert client.get(f"{V1}/jobs/{job}").json()["state"] == "waiting"
    assert client.get(f"{V1}/queue").json()["waiting"] == 1
    client.post(f"{V1}/queue/resume")
    assert wait_until_done(client, job)["state"] == "done"


def test_the_queue_stops_after_the_job_that_was_named(house: House, client: TestClient) -> None:
    first, second = ask(client, count=2)
    assert client.post(f"{V1}/queue/stop-after", json={"job": first}).json()["stop_after"] == first
    house.supervisor.start()
    wait_until_done(client, first)
    time.sleep(0.3)
    state = client.get(f"{V1}/queue").json()
    assert (state["paused"], state["code"], state["stop_after"], state["waiting"]) == (True, None, None, 1)
    client.post(f"{V1}/queue/resume")
    assert wait_until_done(client, second)["state"] == "done"


def test_events_tell_what_changed_and_wait_for_it(house: House, client: TestClient) -> None:
    ask(client)
    place = client.get(f"{V1}/events").json()
    assert place["events"] == []
    assert client.get(f"{V1}/events", params={"after": place["after"]}).json() == place
    threading.Timer(0.4, lambda: house.submit()).start()
    told = client.get(f"{V1}/events", params={"after": place["after"], "wait": 20}).json()
    assert [(event["id"], event["state"]) for event in told["events"]] == [(2, "waiting")]
    house.queue.cancel_all_waiting()
    told = client.get(f"{V1}/events", params={"after": told["after"]}).json()
    assert [(event["id"], event["state"]) for event in told["events"]] == [(1, "cancelled"), (2, "cancelled")]
    everything = client.get(f"{V1}/events?after=0.0").json()
    assert [event["id"] for event in everything["events"]] == [1, 2]


def test_a_page_of_another_site_can_ask_for_nothing(client: TestClient) -> None:
    answer = client.post(f"{V1}/jobs", json={"prompt": "x"}, headers={"Origin": "http://elsewhere.example"})
    assert answer.status_code == 403


# The whole of it, fifty jobs each, is `python -m benchmarks.clients`.
CLIENTS, JOBS_EACH = 20, 15


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_of_what_twenty_clients_order_at_once_no_job_is_lost_or_out_of_order(house: House, client: TestClient) -> None:
    house.supervisor.start()
    asked: dict[str, list[int]] = {}

    def work(name: str) -> None:
        headers = {"Darkroom-Client": name}
        mine = []
        for number in range(JOBS_EACH):
            body = {"prompt": f"{name} {number}", "steps": 1, "width": 256, "height": 256, "seed": number}
            key = {"Idempotency-Key": f"{name}-{number}"}
            for _ in range(1 + number % 3 // 2):  # every third is sent twice
                answer = client.post(f"{V1}/jobs", content=json.dumps(body), headers=headers | key)
            mine.append(answer.json()["jobs"][0]["id"])
            assert client.get(f"{V1}/jobs/{mine[0]}").status_code == 200
        asked[name] = mine

    threads = [threading.Thread(target=work, args=(f"client-{number:02d}",)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patient_until = time.monotonic() + 200
    while house.queue.unfinished_ids():
        assert time.monotonic() < patient_until, "the queue was not finished"
        time.sleep(0.2)
    assert [len(jobs) for jobs in asked.values()] == [JOBS_EACH] * CLIENTS
    for name, jobs in asked.items():
        ended = [house.queue.get(job) for job in jobs]
        assert [job.state for job in ended] == ["done"] * JOBS_EACH, name
        assert [job.request.seed for job in ended] == list(range(JOBS_EACH))
        began = [job.started_at for job in ended if job.started_at is not None]
        assert began == sorted(began)
    assert len(house.library.ids(words="")) == CLIENTS * JOBS_EACH
