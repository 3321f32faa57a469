"""A page with more than one model, over HTTP: each order is measured by the model it names."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO, ModelEntry
from darkroom.config import Settings
from darkroom.web.models import Models
from darkroom.web.reuse import reuse
from tests.web.conftest import ADDRESS, VALUES, House
from tests.web.two_models import LARGE, TWO, reader_of


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, (DEMO, LARGE))
    yield house
    house.database.close()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(house.app, base_url=ADDRESS) as client:
        yield client


def test_what_an_order_leaves_out_is_what_its_model_begins_with(house: House, client: TestClient) -> None:
    for model in (DEMO, LARGE):
        job = client.post("/api/jobs", json={"prompt": "a pier", "model": model.name}).json()["jobs"][0]
        asked = house.queue.get(job).request
        expected = (model.name, model.default_width, model.default_steps, model.default_guidance)
        assert (asked.model, asked.width, asked.steps, asked.guidance) == expected
    job = client.post("/api/jobs", json={"prompt": "a pier"}).json()["jobs"][0]
    assert house.queue.get(job).request.model == "demo"


def test_a_size_of_another_model_is_refused_with_the_range_of_its_own(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"prompt": "x", "model": "large", "width": 512})
    assert answer.json()["words"] == "Width: 512 is not possible. Allowed: 768 to 1536 pixels, a multiple of 16."
    found = client.post("/api/check", json={"prompt": "x", "model": "nonsense", "width": 1024}).json()
    assert found["problems"]["model"] == "Model: nonsense is not possible. Allowed: one of Darkroom demo, A large one."


def test_a_model_that_is_refused_has_its_title_on_the_page_and_its_name_for_programs(client: TestClient) -> None:
    order = {"prompt": "x", "model": "flux1-dev"}
    of_page = client.post("/api/jobs?lang=zh", json=order).json()
    (problem,) = of_page["problems"]
    assert of_page["words"] == problem["words"] == "模型不能是 FLUX.1 [dev]，允许：Darkroom demo, A large one 之一。"
    assert (problem["value"], problem["allowed"]) == ("flux1-dev", "one of demo, large")
    of_programs = client.post("/api/v1/jobs", json=order).json()
    assert of_programs["words"] == "Model: flux1-dev is not possible. Allowed: one of demo, large."


def test_finer_takes_the_preset_of_the_pictures_own_model(house: House, client: TestClient) -> None:
    picture = house.picture(model="large", width=1024, height=768, steps=28, guidance=3.0)
    job = client.post(f"/api/pictures/{picture}/again?how=finer").json()
    asked = house.queue.get(job["id"]).request
    assert (asked.model, asked.steps, asked.guidance) == ("large", 50, 3.5)


def test_the_size_of_a_reused_picture_is_measured_by_its_model_and_else_by_the_forms() -> None:
    large = VALUES | {"model": "large", "width": 1024, "height": 768}
    assert reuse(large, "all", "demo", reader_of(TWO)).values == large
    assert reuse(large, "size", "large", reader_of(TWO)).problems == ()
    (problem,) = reuse(large | {"height": 512}, "size", "demo", reader_of(TWO)).problems
    assert (problem.field, problem.allowed) == ("width", "256 to 512 pixels")


def test_a_model_alone_brings_its_figures_and_leaves_the_prompt() -> None:
    whole = VALUES | {"model": "large", "width": 1024, "height": 768, "prompt": "a pier", "seed": 7}
    found = reuse(whole, "model", "demo", reader_of(TWO))
    assert found.problems == ()
    assert {"prompt", "seed", "loras"}.isdisjoint(found.values)
    assert (found.values["model"], found.values["width"], found.values["height"]) == ("large", 1024, 768)


def test_one_that_came_this_moment_is_known_and_an_older_look_never_replaces_a_newer() -> None:
    there: list[ModelEntry] = [DEMO]
    slow, seen = threading.Event(), threading.Event()

    def supply() -> tuple[ModelEntry, ...]:
        found = tuple(there)
        if threading.current_thread().name == "slow":
            seen.set()
            slow.wait()
        return found

    models = Models(supply, Settings())
    assert models.names == ("demo",)
    there.append(LARGE)
    assert models.names == ("demo",), "kept for a moment"
    assert models.get("large") is LARGE
    assert models.names == ("demo", "large")
    there.remove(LARGE)
    earlier = threading.Thread(target=models.look, name="slow")
    earlier.start()
    seen.wait()
    there.append(LARGE)
    later = threading.Thread(target=models.look)
    later.start()
    slow.set()
    earlier.join()
    later.join()
    assert models.names == ("demo", "large")


def test_the_page_lets_a_person_choose_among_the_models(client: TestClient, empty_client: TestClient) -> None:
    assert [name for _, name in model_field(client)["choices"]] == ["demo", "large"]
    assert [name for _, name in model_field(empty_client)["choices"]] == ["demo"]


def model_field(client: TestClient) -> dict[str, Any]:
    parts = client.get("/config").json()["components"]
    found: dict[str, Any] = next(part["props"]["props"] for part in parts if part["props"].get("elem_id") == "model")
    return found
