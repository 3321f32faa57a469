"""Styles over HTTP: into the prompt as text, a person's own, and other tools' files."""

from typing import Any

from starlette.testclient import TestClient

from tests.web.conftest import House

MIST = {"name": "Mist", "prompt": "{prompt}, thin mist", "negative_prompt": "harsh sun"}


def names(client: TestClient) -> list[str]:
    return [style["name"] for style in client.get("/api/styles").json()["styles"]]


def test_a_style_becomes_words_of_the_prompt(client: TestClient) -> None:
    client.post("/api/styles", json=MIST)
    styled = client.post("/api/styles/apply", json={"name": "Mist", "prompt": "a pier", "negative_prompt": ""})
    assert styled.json() == {"prompt": "a pier, thin mist", "negative_prompt": "harsh sun"}


def test_where_each_line_is_a_prompt_each_has_the_style(client: TestClient) -> None:
    client.post("/api/styles", json={"name": "Mist", "prompt": "{prompt},\nthin mist"})

    def styled(prompt: str, *, lines: object = True) -> Any:
        answer = client.post("/api/styles/apply", json={"name": "Mist", "prompt": prompt, "lines": lines})
        return answer.json().get("prompt", answer.status_code)

    assert styled("a pier\n\na pond\n") == "a pier, thin mist\n\na pond, thin mist"
    assert styled("") == ", thin mist"
    assert styled("a pier\na pond", lines=False) == "a pier\na pond,\nthin mist"
    assert styled("a pier", lines="yes") == 422


def test_a_style_that_says_nothing_is_not_kept(client: TestClient) -> None:
    before = names(client)
    answer = client.post("/api/styles", json={"name": "Nothing", "prompt": " \n"})
    assert answer.status_code == 422
    assert answer.json()["words"] == "Prompt of the style is empty. Allowed: words here or in the negative prompt."
    chinese = client.post("/api/styles/change?lang=zh", json={"name": "Nothing", "was": before[0]}).json()["words"]
    assert chinese.isascii() is False
    assert "words" not in chinese
    assert names(client) == before
    assert client.post("/api/styles", json={"name": "No sun", "negative_prompt": "sun"}).status_code == 201


def test_a_style_of_ones_own_is_added_changed_and_removed(client: TestClient) -> None:
    before = names(client)
    assert client.post("/api/styles", json=MIST).status_code == 201
    assert names(client) == [*before, "Mist"]
    assert client.post("/api/styles/change", json={**MIST, "name": "薄雾", "was": "Mist"}).status_code == 200
    assert names(client) == [*before, "薄雾"]
    removed = client.post("/api/styles/remove", json={"name": "薄雾"}).json()["style"]
    assert names(client) == before
    assert client.post("/api/styles", json=removed).status_code == 201


def test_a_style_that_cannot_be_is_refused_in_words(client: TestClient) -> None:
    client.post("/api/styles", json=MIST)
    taken = client.post("/api/styles?lang=zh", json=MIST)
    assert taken.status_code == 422
    assert taken.json()["words"] == "风格名称不能是 Mist，允许：没有被其他风格使用的名称。"
    assert "Name of the style is empty" in client.post("/api/styles", json={"prompt": "x"}).json()["words"]
    assert client.post("/api/styles/remove", json={"name": "no such"}).status_code == 404
    assert client.post("/api/styles/apply", json={"name": 7}).status_code == 422


def test_a_styles_csv_says_what_was_added_and_what_was_not(client: TestClient) -> None:
    file = 'name,prompt,negative_prompt\nMist,"{prompt}, thin mist",\nInk 水墨,x,\n,y,\n'
    report = client.post("/api/styles/import", content=file.encode()).json()
    assert report["added"] == ["Mist"]
    assert report["lines"][:2] == ["Styles added: 1.", "“Ink 水墨” was left out. There is a style with this name."]
    assert len(report["lines"]) == 3


def test_a_file_that_holds_no_styles_is_refused_in_words(client: TestClient) -> None:
    for content in (b"", b"\x89PNG\r\n\x1a\n", b"a,b\n1,2\n", b"x" * (9 * 2**20)):
        answer = client.post("/api/styles/import", content=content)
        assert answer.status_code == 422, content[:10]
        assert answer.json()["problems"][0]["words"]


def test_a_damaged_file_of_styles_is_said_with_its_line(house: House, client: TestClient) -> None:
    (house.folder / "styles.yaml").write_text("- name: [\n", encoding="utf-8")
    answer = client.get("/api/styles")
    assert answer.status_code == 422
    assert "styles.yaml" in answer.json()["words"]
