"""Our own routes: what they answer, and what they do with nonsense."""

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from darkroom.errors import DoesNotFit
from darkroom.jobs.healing import HEALABLE, KILLED
from darkroom.jobs.queue import Fault
from tests.web.conftest import House

NONSENSE = ["0", "-1", "1.5", "abc", "9" * 30, "9223372036854775808", "%00", "1;DROP", "..%2f1"]

LOST = Fault(kind="engine_lost", stage="denoising", rung=0, at=datetime(2026, 2, 3, tzinfo=UTC), detail="signal 9")


def wait_for(client: TestClient, job: int, state: str) -> dict[str, object]:
    while True:
        status: dict[str, object] = client.get(f"/api/jobs/{job}").json()
        if status["state"] == state:
            return status
        time.sleep(0.01)


@pytest.mark.timeout(60)
def test_a_job_goes_from_waiting_to_its_picture(house: House, client: TestClient) -> None:
    job = house.submit().id
    waiting = client.get(f"/api/jobs/{job}").json()
    assert waiting["state"] == waiting["activity"] == "waiting"
    assert waiting["words"]["activity"] == "Waiting for its turn"
    house.supervisor.start()
    done = wait_for(client, job, "done")
    assert done["progress"] == 1.0
    assert done["picture"] == 1
    preview = client.get(f"/api/jobs/{job}/preview")
    assert preview.headers["content-type"] == "image/jpeg"
    assert preview.headers["cache-control"] == "no-store"


def test_the_words_of_a_status_follow_the_language_asked_for(house: House, client: TestClient) -> None:
    first, second = house.submit().id, house.submit().id
    chinese = client.get(f"/api/jobs/{second}?lang=zh").json()["words"]
    assert (chinese["activity"], chinese["detail"]) == ("排队等待", "前面还有 1 张")
    by_browser = client.get(f"/api/jobs/{first}", headers={"accept-language": "zh-CN"}).json()["words"]
    assert by_browser["activity"] == "排队等待"
    assert client.get(f"/api/jobs/{first}?lang=xx").json()["words"]["activity"] == "Waiting for its turn"


@pytest.mark.parametrize(("language", "button"), [("en", "Generate"), ("zh", "生成")])
def test_what_to_do_about_a_failed_picture_is_right_wherever_it_is_said(
    language: str, button: str, house: House, client: TestClient
) -> None:
    """In the queue the form's button would order what is in the form, and not the picture that failed."""
    for code in (*HEALABLE, KILLED, "does_not_fit", "lora_unusable", "not_saved", "something_new"):
        job = house.submit().id
        house.queue.claim()
        house.queue.fail(job, code, "x")
        following = client.get(f"/api/jobs/{job}?lang={language}").json()["words"]["next"]
        assert following
        assert button not in following


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        ("engine_lost", "signal 9", "Cause: signal 9."),
        ("out_of_memory", "CUDA out of memory", "There was not enough memory for this picture."),
        ("model_unusable", "demo/ae.safetensors: missing", "The model cannot be used: demo/ae.safetensors: missing."),
        ("engine_fault", "", "The engine met a fault: not known."),
        ("never heard of", "x", "Something went wrong: x."),
    ],
)
def test_a_failed_job_says_what_happened_and_what_to_do(
    code: str, detail: str, words: str, house: House, client: TestClient
) -> None:
    job = house.submit().id
    house.queue.claim()
    house.queue.fail(job, code, detail)
    status = client.get(f"/api/jobs/{job}").json()
    assert status["state"] == "failed"
    assert words in status["words"]["error"]
    assert status["words"]["next"]


def test_a_picture_that_does_not_fit_is_said_in_the_readers_language(house: House, client: TestClient) -> None:
    error = DoesNotFit("card", model="FLUX.1", wanted=(2048, 2048), largest=(2032, 2032), gigabytes=6)
    job = house.submit().id
    house.queue.claim()
    house.queue.fail(job, "does_not_fit", json.dumps({"code": error.code, **error.details}))
    english, chinese = (client.get(f"/api/jobs/{job}?lang={lang}").json()["words"]["error"] for lang in ("en", "zh"))
    assert english.startswith("This picture does not fit. 2048 × 2048 pixels do not fit on this graphics card. 2032")
    assert english.endswith("6 GB of free memory.")
    assert chinese.startswith("这张图装不下。这张显卡装不下 2048 × 2048 像素的图")


def test_no_smaller_size_is_asked_for_where_none_would_fit(house: House, client: TestClient) -> None:
    error = DoesNotFit("memory", model="FLUX.1", wanted=(512, 512), largest=None, gigabytes=12)
    job = house.submit().id
    house.queue.claim()
    house.queue.fail(job, "does_not_fit", json.dumps({"code": error.code, **error.details}))
    words = client.get(f"/api/jobs/{job}").json()["words"]
    assert "at any size" in words["error"]
    assert "smaller size" not in words["next"]


def test_a_job_that_is_tried_again_says_why(house: House, client: TestClient) -> None:
    job = house.submit().id
    house.queue.claim()
    house.queue.put_back(job, fault=LOST)
    words = client.get(f"/api/jobs/{job}").json()["words"]
    assert words["notice"] == "The engine stopped unexpectedly. This picture is being tried again."
    assert words["error"] == ""


def test_a_waiting_job_can_be_stopped(house: House, client: TestClient) -> None:
    job = house.submit().id
    assert client.post(f"/api/jobs/{job}/stop").json()["state"] == "cancelled"
    assert client.get(f"/api/jobs/{job}/preview").status_code == 404


def test_the_ends_of_many_jobs_come_at_once_in_the_order_in_which_they_ended(house: House, client: TestClient) -> None:
    made, failed, cancelled, waiting = (house.submit().id for _ in range(4))
    house.queue.cancel(cancelled)
    for _ in range(2):
        house.queue.claim()
    house.queue.fail(failed, "engine_lost", "signal 9")
    house.queue.cancel(made)
    asked = {"ids": [made, failed, cancelled, waiting, 99], "lang": "en"}
    found = client.get("/api/jobs/ends", params=asked, headers={"Darkroom-Client": "browser-1"}).json()
    assert [job["id"] for job in found["ended"]] == [cancelled, failed, made]
    assert [job["mine"] for job in found["ended"]] == [False] * 3
    assert found["ended"][1]["words"]["error"].startswith("The engine stopped")
    assert [job["finished_at"] for job in found["ended"]] == sorted(job["finished_at"] for job in found["ended"])
    assert found["unfinished"] == [waiting]
    for wrong in ([], [0], ["x"], [2**63], list(range(1, 202))):
        assert client.get("/api/jobs/ends", params={"ids": wrong}).status_code == 422


def test_the_stored_file_itself_is_served_and_may_be_kept_for_ever(house: House, client: TestClient) -> None:
    picture = house.picture(seed=77)
    view = client.get(f"/api/pictures/{picture}").json()
    answer = client.get(view["picture"])
    assert answer.content == house.library.picture_path(picture).read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    assert 'filename="darkroom-000001-a-quiet-lake-77.png"' in answer.headers["content-disposition"]
    thumbnail = client.get(view["thumbnail"])
    assert "immutable" in thumbnail.headers["cache-control"]
    with Image.open(io.BytesIO(thumbnail.content)) as small:
        assert thumbnail.headers["content-type"] == f"image/{(small.format or '').lower()}"


def test_the_history_comes_in_pages_newest_first(house: House, client: TestClient) -> None:
    ids = [house.picture(prompt=f"picture {number}") for number in range(5)]
    seen, before = [], ""
    while True:
        page = client.get(f"/api/history?limit=2{before}").json()
        seen += [picture["id"] for picture in page["pictures"]]
        if page["next"] is None:
            break
        before = f"&cursor={page['next']}"
    assert seen == ids[::-1]


def test_the_history_is_searched_by_words_of_the_prompt(house: House, client: TestClient) -> None:
    house.picture(prompt="a red barn")
    wanted = house.picture(prompt="月亮 100% <script>alert(1)</script>")
    for words in ("月亮", "100%", "<script>", "ALERT 月"):
        found = client.get("/api/history", params={"q": words}).json()["pictures"]
        assert [picture["id"] for picture in found] == [wanted], words
    assert client.get("/api/history", params={"q": "' OR 1=1 --"}).json()["pictures"] == []


def test_the_request_that_ran_is_shown_whole(house: House, client: TestClient) -> None:
    picture = house.picture(prompt="<b>bold</b>", negative_prompt="fog", cfg_scale=2.0)
    view = client.get(f"/api/pictures/{picture}?lang=zh").json()
    assert view["request"] == house.library.get(picture).request.model_dump(mode="json")
    assert ["反向提示词", "fog"] in view["rows"]
    assert view["title"] == "图片 1：<b>bold</b>"


@pytest.mark.parametrize("number", NONSENSE)
@pytest.mark.parametrize(
    "path", ["/api/jobs/{}", "/api/jobs/{}/preview", "/pictures/{}", "/thumbs/{}", "/api/pictures/{}"]
)
def test_a_number_that_is_none_is_refused_in_words(path: str, number: str, empty_client: TestClient) -> None:
    answer = empty_client.get(path.format(number))
    assert answer.status_code in (404, 422)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/api/jobs/5", "/pictures/5", "/thumbs/5", "/api/pictures/9223372036854775807"])
def test_what_does_not_exist_is_said_in_words(path: str, empty_client: TestClient) -> None:
    answer = empty_client.get(path, headers={"accept-language": "zh"})
    assert answer.status_code == 404
    assert "不存在" in answer.json()["words"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=0",
        "cursor=" + "9" * 30,
        "q=" + "x" * 201,
        "q=%00",
        "order=sideways",
        "starred=perhaps",
    ],
)
def test_a_page_that_cannot_be_is_refused(query: str, empty_client: TestClient) -> None:
    answer = empty_client.get(f"/api/history?{query}")
    assert answer.status_code == 422
    assert answer.json()["words"]


def test_a_picture_whose_file_was_taken_away_is_not_found(house: House, client: TestClient) -> None:
    picture = house.picture()
    Path(house.library.picture_path(picture)).unlink()
    assert client.get(f"/pictures/{picture}").status_code == 404


def test_health_names_the_version(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"
    looked = client.head("/health")
    assert (looked.status_code, looked.content) == (200, b"")


def test_the_mark_is_drawn_by_us(client: TestClient) -> None:
    assert client.get("/favicon.ico").text.startswith("<svg")


def test_the_queue_says_whose_each_job_is_and_in_which_line(house: House, client: TestClient) -> None:
    for name in ("browser-1", "browser-2", "nightly", ""):
        house.queue.submit(house.submit().request, client=name)
        house.queue.cancel_waiting(house.queue.page(client="")[0].id) if name else None
    mine = {"Darkroom-Client": "browser-1"}
    seen = client.get("/api/jobs?lang=en", headers=mine).json()["jobs"]
    assert {job["who"]: job["mine"] for job in seen} == {
        "Yours": True,
        "Another browser": False,
        "nightly": False,
        "A program": False,
    }
    assert len({job["line"] for job in seen}) == 4
    assert client.get("/api/jobs/2?lang=en", headers=mine).json()["who"] == "Yours"


def test_the_queue_says_why_it_does_not_go_on_and_what_failed(house: House, client: TestClient) -> None:
    failed = house.submit().id
    house.queue.claim()
    house.queue.fail(failed, "out_of_memory", "x")
    waiting = house.submit().id
    house.queue.stop_after(waiting)
    assert client.get("/api/jobs?lang=en").json()["queue"] == {
        "paused": False,
        "stop_after": waiting,
        "code": None,
        "words": "The queue pauses after the picture marked here.",
        "left": "",
    }
    house.queue.pause_queue("out_of_memory", "x")
    found = client.get("/api/jobs?lang=en&failed=true").json()
    assert "two pictures in a row found too little memory" in found["queue"]["words"]
    assert [job["id"] for job in found["failed"]] == [failed]
    assert client.get("/api/jobs?lang=zh").json()["failed"] == []
    house.queue.pause_queue("something_new", "x")
    assert "two pictures in a row failed the same way" in client.get("/api/jobs?lang=en").json()["queue"]["words"]


def test_of_what_was_never_made_the_queue_says_so(house: House, client: TestClient) -> None:
    house.submit()
    house.submit(width=512)
    found = client.get("/api/jobs?lang=en").json()
    assert found["queue"]["left"] == "Never made here before"
    assert [job["words"]["left"] for job in found["jobs"]] == ["first time here"] * 2


def test_the_queue_says_when_all_is_done_and_each_job_what_it_takes(house: House, client: TestClient) -> None:
    for _ in range(5):
        house.picture()
    waiting, larger = house.submit(), house.submit(width=512)
    found = client.get("/api/jobs?lang=en").json()
    assert found["queue"]["left"].startswith("All done in about")
    takes = {job["id"]: job["words"]["left"] for job in found["jobs"]}
    assert takes[waiting.id].startswith("takes")
    assert takes[larger.id].startswith("first time here · takes about")
    assert client.get(f"/api/v1/jobs/{waiting.id}").json()["progress"]["counted"] == 5


def test_a_picture_that_was_finished_early_says_how_many_steps_it_has(house: House, client: TestClient) -> None:
    job = house.submit(steps=30).id
    house.queue.claim()
    size = {"width": 256, "height": 384}
    facts = {"seconds": 1.0, "steps_done": 1}
    house.library.add(job=job, request=house.queue.get(job).request, pixels=bytes(256 * 384 * 3), facts=facts, **size)
    one, listed = client.get(f"/api/v1/jobs/{job}").json(), client.get("/api/v1/jobs").json()["jobs"][0]
    for progress in (one["progress"], listed["progress"], client.get(f"/api/jobs/{job}").json()):
        assert (progress["step"], progress["of"]) == (1, 30)
