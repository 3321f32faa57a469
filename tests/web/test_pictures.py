"""What can be done with a finished picture, over HTTP: star, trash, restore, remove for good, and make again."""

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.request import parse_request
from darkroom.web.picture_views import download_name, picture_view
from darkroom.web.words import Language, load_words
from tests.web.conftest import VALUES, House
from tests.web.two_models import ONE


def ids(client: TestClient, **query: Any) -> list[int]:
    return [picture["id"] for picture in client.get("/api/history", params=query).json()["pictures"]]


def test_a_star_puts_a_picture_among_the_starred_and_can_be_taken_away(house: House, client: TestClient) -> None:
    first, second = house.picture(), house.picture()
    assert client.put(f"/api/pictures/{first}/star").json()["starred"] is True
    assert ids(client, starred=True) == [first]
    assert ids(client) == [second, first]
    client.delete(f"/api/pictures/{first}/star")
    assert ids(client, starred=True) == []


def test_a_deleted_picture_lies_in_the_trash_and_comes_back_whole(house: House, client: TestClient) -> None:
    picture = house.picture()
    before = client.get(f"/api/pictures/{picture}").json()
    client.delete(f"/api/pictures/{picture}")
    assert (ids(client), ids(client, trash=True)) == ([], [picture])
    assert client.get(f"/api/pictures/{picture}").json()["in_trash"] is True
    assert client.get(before["picture"]).status_code == 200
    client.post(f"/api/pictures/{picture}/restore")
    assert (ids(client), ids(client, trash=True)) == ([picture], [])
    assert client.get(f"/api/pictures/{picture}").json() == before


def test_only_a_picture_of_the_trash_is_removed_for_good(house: House, client: TestClient) -> None:
    picture = house.picture()
    file = house.library.picture_path(picture)
    assert client.post(f"/api/pictures/{picture}/purge").status_code == 422
    assert file.exists()
    client.delete(f"/api/pictures/{picture}")
    assert client.post(f"/api/pictures/{picture}/purge").status_code == 204
    assert not file.exists()
    assert client.get(f"/api/pictures/{picture}").status_code == 404


def test_a_file_that_is_cut_off_or_gone_is_known_and_kept_as_it_is(house: House, client: TestClient) -> None:
    def is_whole() -> bool:
        found: bool = client.get(f"/api/pictures/{picture}").json()["file_is_whole"]
        return found

    picture = house.picture()
    file = house.library.picture_path(picture)
    content = file.read_bytes()
    assert is_whole()
    for length in (len(content) - 1, len(content) // 2, 5, 0):
        file.write_bytes(content[:length])
        assert not is_whole(), length
        assert client.get(f"/pictures/{picture}").content == file.read_bytes() == content[:length]
    file.write_bytes(content)
    assert is_whole()
    file.unlink()
    assert not is_whole()
    assert ids(client) == [picture]


def test_the_history_comes_in_either_order_and_counts_itself_once(house: House, client: TestClient) -> None:
    made = [house.picture() for _ in range(3)]
    first = client.get("/api/history?limit=2&order=oldest").json()
    assert [picture["id"] for picture in first["pictures"]] == made[:2]
    assert first["total"] == 3
    rest = client.get(f"/api/history?limit=2&order=oldest&cursor={first['next']}").json()
    assert [picture["id"] for picture in rest["pictures"]] == made[2:]
    assert (rest["next"], rest["total"]) == (None, None)


def test_a_picture_knows_its_neighbours_in_the_list_it_is_seen_in(house: House, client: TestClient) -> None:
    red, blue, green = (house.picture(prompt=f"a {colour} barn") for colour in ("red", "blue", "green"))
    house.library.star(red, True)
    view = client.get(f"/api/pictures/{blue}").json()
    assert (view["newer"], view["older"]) == (green, red)
    view = client.get(f"/api/pictures/{blue}?q=green").json()
    assert (view["newer"], view["older"]) == (green, None)
    view = client.get(f"/api/pictures/{blue}?starred=true").json()
    assert (view["newer"], view["older"]) == (None, red)


def test_again_asks_for_the_same_request(house: House, client: TestClient) -> None:
    picture = house.picture(prompt="灯塔", negative_prompt="fog", cfg_scale=2.0)
    job = client.post(f"/api/pictures/{picture}/again").json()
    assert job["state"] == "waiting"
    assert house.queue.get(job["id"]).request == house.library.get(picture).request


def test_again_with_another_seed_changes_nothing_else(house: House, client: TestClient) -> None:
    picture = house.picture(seed=5)
    seeds = set()
    for _ in range(3):
        job = client.post(f"/api/pictures/{picture}/again?how=seed").json()
        request = house.queue.get(job["id"]).request
        assert request.model_copy(update={"seed": 5}) == house.library.get(picture).request
        seeds.add(request.seed)
    assert len(seeds) > 1


@pytest.mark.parametrize(("guidance", "kept"), [(3.5, 3.5), (2.0, 2.0)])
def test_finer_keeps_the_seed_and_takes_the_steps_of_the_preset_fine(
    guidance: float, kept: float, house: House, client: TestClient
) -> None:
    picture = house.picture(steps=4, guidance=guidance)
    assert client.get(f"/api/pictures/{picture}").json()["can_be_finer"] is True
    job = client.post(f"/api/pictures/{picture}/again?how=finer").json()
    asked = parse_request(VALUES | {"steps": 20, "guidance": kept})
    assert house.queue.get(job["id"]).request == asked


def test_a_picture_with_passed_over_steps_can_be_finer_with_all_of_them(house: House, client: TestClient) -> None:
    picture = house.picture(steps=30, step_cache=0.3, prompt_tokens=48)
    view = client.get(f"/api/pictures/{picture}").json()
    assert view["can_be_finer"] is True
    assert ["Step cache", "0.3"] in view["rows"]
    assert ["Tokens of the prompt", "48"] in view["rows"]
    job = client.post(f"/api/pictures/{picture}/again?how=finer").json()
    asked = parse_request(VALUES | {"steps": 30, "step_cache": 0.0, "prompt_tokens": 48})
    assert house.queue.get(job["id"]).request == asked


def test_what_is_fine_already_cannot_be_finer(house: House, client: TestClient) -> None:
    picture = house.picture(steps=20)
    view = client.get(f"/api/pictures/{picture}").json()
    assert (view["can_be_finer"], view["model_is_here"]) == (False, True)
    assert client.post(f"/api/pictures/{picture}/again?how=finer").status_code == 422
    assert house.queue.unfinished() == ()


def test_a_picture_that_outlived_its_model_is_shown_but_not_made_again(house: House, client: TestClient) -> None:
    picture = house.picture(model="long gone")
    view = client.get(f"/api/pictures/{picture}").json()
    assert ["Model", "long gone"] in view["rows"]
    assert (view["can_be_finer"], view["model_is_here"]) == (False, False)
    answer = client.post(f"/api/pictures/{picture}/again")
    assert answer.status_code == 422
    assert "long gone" in answer.json()["words"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "star"), ("DELETE", "star"), ("POST", "restore"), ("POST", "purge"), ("POST", "again"), ("DELETE", "")],
)
def test_a_picture_that_does_not_exist_is_said_in_words(method: str, path: str, empty_client: TestClient) -> None:
    answer = empty_client.request(method, f"/api/pictures/77/{path}".rstrip("/"), headers={"accept-language": "zh"})
    assert answer.status_code == 404
    assert "不存在" in answer.json()["words"]


def test_the_unfinished_jobs_of_everyone_are_seen_in_order(house: House, client: TestClient) -> None:
    nothing = client.get("/api/jobs").json()
    assert (nothing["jobs"], nothing["ids"], nothing["failed"], nothing["newest"]) == ([], [], [], 0)
    house.library.delete(house.picture())
    assert client.get("/api/jobs").json()["newest"] == 1
    made = [house.submit(prompt="x" * 9000).id for _ in range(30)]
    running = house.queue.claim()
    assert running is not None
    seen = client.get("/api/jobs?lang=zh").json()
    assert seen["ids"] == made
    assert [job["state"] for job in seen["jobs"][:2]] == ["running", "waiting"]
    assert seen["jobs"][2]["words"]["detail"] == "前面还有 2 张"
    assert len(seen["jobs"]) < len(made)
    assert len(client.get("/api/jobs").content) < 40_000


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a quiet lake", "darkroom-000001-a-quiet-lake-12345.png"),
        ("月亮与灯塔", "darkroom-000001-月亮与灯塔-12345.png"),
        ("", "darkroom-000001-12345.png"),
        ("../../etc/passwd\n<b>", "darkroom-000001-etc-passwd-b-12345.png"),
        ("word " * 40, "darkroom-000001-" + "-".join(["word"] * 9) + "-12345.png"),
    ],
)
def test_a_downloaded_file_is_named_by_number_words_and_seed(prompt: str, name: str, house: House) -> None:
    assert download_name(house.library.get(house.picture(prompt=prompt))) == name


def test_the_memory_a_picture_took_is_shown_beside_what_was_promised(house: House) -> None:
    words = load_words()
    picture = house.library.get(house.picture())

    def shown(language: Language, **facts: str | int) -> str | None:
        rows = picture_view(replace(picture, facts=facts), words[language], ONE.title)["rows"]
        return dict(rows).get(words[language].say("history.memory"))

    planned: dict[str, str | int] = {"peak_mib": 6900, "promised_mib": 7100, "profile": "8"}
    assert shown("en", **planned) == "6,900 MiB; the plan for 8 GB promised at most 7,100 MiB"
    assert shown("zh", **planned) == "6,900 MiB；8 GB 方案承诺不超过 7,100 MiB"
    assert shown("en", peak_mib=30) == "30 MiB"
    assert shown("en") is None
