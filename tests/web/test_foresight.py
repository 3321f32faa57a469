"""What the form is told before anything is asked for: time and memory, and the way out where a picture does not fit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO, FLUX1_DEV
from darkroom.config import FolderSettings, Settings
from darkroom.footprint import GB
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.experience import ENGINE_RAM
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.machine import Card, Machine
from darkroom.request import parse_request
from darkroom.web.fitting import Fitting
from darkroom.web.foresight import Foresight
from darkroom.web.models import models_of
from darkroom.web.words import load_words
from tests.web.conftest import VALUES, House
from tests.web.drawing_engine import DrawingEngine

WORDS = load_words()
CARD = Card(name="a card", total=8 * GB, free=8 * GB, compute=(8, 9), copy_rate=20e9)
DESK = Machine(card=CARD, ram_total=64 * GB, ram_free=56 * GB, pinnable=56 * GB, cores=8)
LAPTOP = Machine(card=None, ram_total=4 * GB, ram_free=3 * GB, pinnable=3 * GB, cores=4)


class Told:
    """A Foresight of one machine, whose pictures a test makes up."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        settings = Settings(folders=FolderSettings(models=folder / "models", history=folder))
        self.database = Database(sqlite_url(folder))
        self.database.open()
        self.queue, self.library = JobQueue(self.database), Library(self.database, folder)
        supervisor = Supervisor(self.queue, self.library, DrawingEngine, 0)
        models = models_of((FLUX1_DEV, DEMO), settings)
        self.fitting = Fitting(settings, lambda: machine)
        self.foresight = Foresight(self.fitting, supervisor, models)

    def of(self, pictures: int = 1, language: Any = "en", **changes: Any) -> dict[str, Any]:
        found = self.foresight.of(parse_request(VALUES | changes), pictures, WORDS[language])
        assert found is not None
        return found

    def make(self, seconds: float, **changes: Any) -> None:
        request = parse_request(VALUES | changes)
        self.queue.submit(request)
        job = self.queue.claim()
        assert job is not None
        facts = {"seconds_denoising": seconds, "peak_mib": 5120, "promised_mib": 7000, ENGINE_RAM: 2048}
        size = {"width": request.width, "height": request.height}
        self.library.add(
            job=job.id, request=request, pixels=bytes(size["width"] * size["height"] * 3), facts=facts, **size
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path, DESK)
    yield told
    told.database.close()


FLUX: dict[str, Any] = {"model": FLUX1_DEV.name, "width": 1024, "height": 1024, "steps": 20}


def test_what_was_never_made_is_told_from_the_plan(desk: Told) -> None:
    found = desk.of(**FLUX)
    assert found["fits"]
    assert found["choice"] is None
    assert "of 8.0 GB on the card" in found["words"]
    assert found["words"].endswith("first time here")
    assert "本机首次" in desk.of(language="zh", **FLUX)["words"]


def test_what_was_made_is_told_as_it_was(desk: Told) -> None:
    for seed in range(5):
        desk.make(30.0, seed=seed, **FLUX)
    words = desk.of(**FLUX)["words"]
    assert "5.0 of 8.0 GB on the card" in words
    assert "2.0 GB of RAM" in words
    assert "about 3" in words
    assert "first time here" not in words
    assert "a picture" in desk.of(pictures=4, **FLUX)["words"]


def test_another_size_is_planned_and_corrected_by_what_was_made(desk: Told) -> None:
    wide = {**FLUX, "width": 1536}
    plans = [desk.fitting.plan(FLUX1_DEV, parse_request(VALUES | each)) for each in (FLUX, wide)]
    ratio = plans[1].seconds_per_step / plans[0].seconds_per_step  # type: ignore[union-attr]
    desk.make(3000.0, **FLUX)
    found = desk.of(**wide)["words"]
    assert f"about {round(3000 * ratio / 60)}\N{NO-BREAK SPACE}min" in found
    assert "first time here" in found


def test_a_size_that_does_not_fit_can_be_made_one_that_does(tmp_path: Path) -> None:
    small = replace(DESK, card=replace(CARD, total=int(2.6 * GB), free=int(2.6 * GB)))
    told = Told(tmp_path, small)
    found = told.of(**{**FLUX, "width": 2048, "height": 2048})
    assert not found["fits"]
    values: dict[str, Any] = found["choice"]["values"]
    assert found["choice"]["words"] == f"Make it {values['width']} × {values['height']}"
    assert told.of(**FLUX | values)["fits"]
    told.database.close()


def test_where_a_model_does_not_fit_at_all_another_is_offered(tmp_path: Path) -> None:
    told = Told(tmp_path, LAPTOP)
    found = told.of(**FLUX)
    assert not found["fits"]
    assert found["choice"]["values"] == {"model": DEMO.name}
    assert DEMO.title in found["choice"]["words"]
    told.database.close()


def test_the_form_is_told_with_each_check(house: House, client: TestClient) -> None:
    house.picture()
    found = client.post("/api/check?lang=en", json=VALUES | {"count": 3}).json()["fit"]
    assert found["fits"]
    assert "in all" in found["words"]
    assert client.post("/api/check", json=VALUES | {"steps": 0}).json()["fit"] is None
