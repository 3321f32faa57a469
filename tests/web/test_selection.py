"""Many pictures at once, and the trash as a whole, over HTTP."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.web.archive import Entry, zipped
from darkroom.web.routes.numbers import MOST_AT_ONCE, spans
from tests.web.conftest import House
from tests.web.test_pictures import ids


def test_many_are_starred_thrown_away_and_brought_back_in_one_request_each(house: House, client: TestClient) -> None:
    one, two, three = (house.picture() for _ in range(3))
    changed = client.post("/api/selection/star", json={"ids": [one, three, 99]}).json()["pictures"]
    assert [(tile["id"], tile["starred"]) for tile in changed] == [(three, True), (one, True)]
    client.post("/api/selection/unstar", json={"ids": [one]})
    assert ids(client, starred=True) == [three]
    client.post("/api/selection/trash", json={"ids": [one, three]})
    assert (ids(client), ids(client, trash=True)) == ([two], [three, one])
    client.post("/api/selection/restore", json={"ids": [one, three]})
    assert ids(client) == [three, two, one]
    assert ids(client, starred=True) == [three]


def test_only_those_in_the_trash_are_removed_for_good(house: House, client: TestClient) -> None:
    one, two = house.picture(), house.picture()
    file = house.library.picture_path(one)
    house.library.delete(one)
    assert client.post("/api/selection/purge", json={"ids": [one, two]}).json() == {"pictures": [{"id": one}]}
    assert not file.exists()
    assert ids(client) == [two]


def test_all_of_a_list_are_named_with_those_that_have_a_star(house: House, client: TestClient) -> None:
    one, two, three = (house.picture(prompt=prompt) for prompt in ("a barn", "a lake", "a red barn"))
    house.library.star(one, True)
    assert client.get("/api/selection").json() == {"ids": [three, two, one], "starred": [one]}
    assert client.get("/api/selection?q=barn").json() == {"ids": [three, one], "starred": [one]}
    assert client.get("/api/selection?starred=true").json() == {"ids": [one], "starred": [one]}
    assert client.get("/api/selection?trash=true").json() == {"ids": [], "starred": []}


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": "1"}, {"ids": [0]}, {"ids": [True]}, {"ids": [1.0]}, {"ids": [2**63]}, [1]]
)
@pytest.mark.parametrize("what", ["star", "purge"])
def test_what_are_no_numbers_of_pictures_is_refused_in_words(body: Any, what: str, empty_client: TestClient) -> None:
    answer = empty_client.post(f"/api/selection/{what}?lang=zh", json=body)
    assert answer.status_code == 422
    assert answer.json()["words"]


def test_more_numbers_than_anyone_needs_are_refused(empty_client: TestClient) -> None:
    answer = empty_client.post("/api/selection/star", json={"ids": [1] * (MOST_AT_ONCE + 1)})
    assert answer.json()["words"].endswith(": 20001 is not possible. Allowed: 1 to 20000 numbers of pictures.")


def test_of_many_numbers_the_one_that_is_none_is_said(empty_client: TestClient) -> None:
    answer = empty_client.post("/api/selection/star", json={"ids": [*range(1, 1000), "x", *range(1000, 2000)]})
    assert answer.json()["words"].endswith(": x is not possible. Allowed: 1 to 20000 numbers of pictures.")


def test_a_download_of_many_holds_the_stored_files_byte_by_byte(house: House, client: TestClient) -> None:
    made = [house.picture(prompt=prompt, seed=seed) for seed, prompt in enumerate(("a barn", "月亮", "", "a barn"))]
    answer = client.get(f"/pictures.zip?ids={made[0]}-{made[2]},99")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="darkroom-000001-000003.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "darkroom-000003-2.png",
            "darkroom-000002-月亮-1.png",
            "darkroom-000001-a-barn-0.png",
        ]
        stored = [house.library.picture_path(id).read_bytes() for id in (made[2], made[1], made[0])]
        assert [archive.read(name) for name in archive.namelist()] == stored


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "The files of these pictures are not in the history folder any more:"),
        ("zh", "历史文件夹里已经没有这些图片的文件："),
    ],
)
def test_a_file_that_was_taken_away_is_named_in_the_download(
    language: str, said: str, house: House, client: TestClient
) -> None:
    one, two = house.picture(prompt="月亮"), house.picture()
    house.library.picture_path(one).unlink()
    answer = client.get(f"/pictures.zip?ids={one}-{two}&lang={language}")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert [name[:15] for name in archive.namelist()] == ["darkroom-000002", "missing.txt"]
        text = archive.read("missing.txt").decode("utf-8")
        assert text == f"{said}\n\ndarkroom-000001-月亮-12345.png\n"
        assert archive.testzip() is None


def test_a_download_of_nothing_but_files_that_were_taken_away_is_refused(house: House, client: TestClient) -> None:
    one, two = house.picture(), house.picture()
    for id in (one, two):
        house.library.picture_path(id).unlink()
    answer = client.get(f"/pictures.zip?ids={one}-{two}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(("year", "written"), [(1970, 1980), (2026, 2026), (2199, 2107)])
def test_a_clock_that_was_wrong_breaks_no_download(year: int, written: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    made_at = datetime(year, 6, 1, tzinfo=UTC)
    content = b"".join(zipped([Entry(name="a.png", path=path, made_at=made_at)], ""))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.getinfo("a.png").date_time[0] == written


def test_a_download_of_nothing_is_said_in_words(empty_client: TestClient) -> None:
    answer = empty_client.get("/pictures.zip?ids=5-7&lang=zh")
    assert answer.status_code == 404
    assert "不存在" in answer.json()["words"]


@pytest.mark.parametrize("text", ["", ",", "1,", "-1", "7-3", "0", "a", "1-2-3", "1 2", "1-99999999", "9" * 19, "１"])
def test_an_address_that_names_no_pictures_is_refused(text: str, empty_client: TestClient) -> None:
    answer = empty_client.get("/pictures.zip", params={"ids": text})
    assert answer.status_code == 422
    assert answer.json()["words"]


def test_spans_are_numbers() -> None:
    assert spans("3-5,12,7-7") == (3, 4, 5, 12, 7)


def test_the_trash_is_weighed_and_emptied_of_what_was_seen_in_it(house: House, client: TestClient) -> None:
    made = [house.picture() for _ in range(3)]
    assert client.get("/api/trash").json()["pictures"] == 0
    house.library.delete_all(made[:2])
    files = [house.library.picture_path(id) for id in made]
    found = client.get("/api/trash").json()
    assert found["pictures"] == 2
    assert found["bytes"] > sum(file.stat().st_size for file in files[:2])
    house.library.delete(made[2])
    assert client.delete(f"/api/trash?seen_at={found['seen_at']}").json() == {"removed": 2}
    assert [file.exists() for file in files] == [False, False, True]
    assert ids(client, trash=True) == made[2:]


@pytest.mark.parametrize("query", ["", "?seen_at=", "?seen_at=-1", "?seen_at=x", "?seen_at=1.5", f"?seen_at={2**60}"])
def test_the_trash_is_not_emptied_without_saying_when_it_was_looked_at(
    query: str, house: House, client: TestClient
) -> None:
    house.library.delete(house.picture())
    assert client.delete(f"/api/trash{query}").status_code == 422
    assert len(ids(client, trash=True)) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/trash?seen_at=1"), *(("POST", f"/api/selection/{what}") for what in ("trash", "purge"))],
)
def test_another_pages_wish_is_refused(method: str, path: str, empty_client: TestClient) -> None:
    answer = empty_client.request(method, path, json={"ids": [1]}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
