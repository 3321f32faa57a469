"""A model whose checkpoints are wide: the first loading converts them, the next ones read what was made."""

import logging
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkroom.catalog import DEMO
from darkroom.engine import conversion
from darkroom.engine.conversion import SUFFIX
from darkroom.engine.flux import load_pipeline
from darkroom.engine.model import LoadedModel
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.jobs.messages import EngineOptions
from darkroom.request import parse_request
from tests.engine.test_conversion import MODELS, wide

CPU = torch.device("cpu")
REQUEST = parse_request(
    {"prompt": "a red house", "seed": 1, "steps": 2, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
)
WIDE = (DEMO.files.transformer, DEMO.files.text_encoder_2)


class Bytes(Watcher):
    """Notes each part and how far it was."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.told: list[tuple[str, float]] = []
        self._stop_at = stop_at

    def loading(self, part: str, fraction: float) -> None:
        self.told.append((part, fraction))
        if fraction >= self._stop_at:
            raise StopAsked


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(MODELS / "demo", folder / "demo")
    for file in WIDE:
        save_file(wide(Path(file), torch.bfloat16), folder / file)
    return folder


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.name.endswith(SUFFIX) or path.name.startswith(".darkroom")}


def picture(models: Path, *, convert: bool, cache: Path | None = None) -> bytes:
    options = EngineOptions(
        models=models,
        device="cpu",
        threads=2,
        expandable_segments=True,
        log_level="info",
        convert=convert,
        cache=cache,
    )
    return LoadedModel(options).make_picture(DEMO, REQUEST, Watcher()).pixels


def test_wide_checkpoints_are_converted_once_and_the_picture_is_the_same(models: Path) -> None:
    before = picture(models, convert=False)
    assert made(models) == set()
    assert picture(models, convert=True) == before
    files = {path: path.stat().st_mtime_ns for path in models.rglob(f"*{SUFFIX}")}
    assert {path.name for path in files} == {f"{Path(file).stem}{SUFFIX}" for file in WIDE}
    assert picture(models, convert=True) == before
    assert {path: path.stat().st_mtime_ns for path in models.rglob(f"*{SUFFIX}")} == files


def test_converting_and_reading_tell_each_part_and_how_far_it_is(models: Path) -> None:
    for _ in range(2):
        watcher = Bytes()
        load_pipeline(DEMO, models, CPU, watcher, convert=True)
        parts, fractions = zip(*watcher.told, strict=True)
        assert list(dict.fromkeys(parts)) == ["text_encoder_1", "text_encoder_2", "transformer", "vae"]
        assert list(fractions) == sorted(fractions)
        # What is in its final form already comes when it is needed.
        assert fractions[0] == 0
        assert fractions[-1] < 1
        assert max(later - earlier for earlier, later in pairwise(fractions)) < 0.15


def test_a_stop_while_converting_leaves_nothing_of_it_and_the_next_loading_begins_again(models: Path) -> None:
    with pytest.raises(StopAsked):
        load_pipeline(DEMO, models, CPU, Bytes(stop_at=0.6), convert=True)
    finished = made(models)
    assert finished <= {f"text_encoder_2{SUFFIX}"}
    load_pipeline(DEMO, models, CPU, Watcher(), convert=True)
    assert len(made(models)) == 2


def no_room(monkeypatch: pytest.MonkeyPatch, _models: Path) -> None:
    monkeypatch.setattr(conversion, "SPARE_BYTES", 2**60)


def read_only(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    # Whoever runs the tests as root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, _mode: models not in (path, *path.parents))


@pytest.mark.parametrize(("hindrance", "words"), [(no_room, "not enough room"), (read_only, "cannot be written to")])
def test_where_it_cannot_be_written_the_log_says_so_once_and_the_source_is_read(
    models: Path,
    hindrance: Callable[[pytest.MonkeyPatch, Path], None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = picture(models, convert=False)
    hindrance(monkeypatch, models)
    with caplog.at_level(logging.WARNING, "darkroom.engine"):
        assert picture(models, convert=True) == before
    warnings = [record.getMessage() for record in caplog.records if words in record.getMessage()]
    assert [warning.split(" ")[0] for warning in warnings] == ["text_encoder_2.safetensors", "transformer.safetensors"]
    assert made(models) == set()


def test_beside_a_read_only_folder_the_cache_takes_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(monkeypatch, models)
    before = picture(models, convert=True, cache=tmp_path / "cache")
    assert len(made(tmp_path / "cache")) == 2
    assert picture(models, convert=True, cache=tmp_path / "cache") == before
    assert made(models) == set()
