"""Each program with the demo's shapes on the processor: it ends well and writes its table.

Where nothing is said of this process they run as a person starts them: in another one.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import apart, compare, fidelity, loading, presets, promises, streaming
from benchmarks.full_size import DEMO_SHAPE, SHAPES
from benchmarks.likeness import ssim
from benchmarks.promises import Case
from benchmarks.rows import HEAD, Row, same_pictures

pytestmark = pytest.mark.slow
DEMO = ["--model", "demo", "--device", "cpu"]


def rows(document: Path) -> list[list[str]]:
    lines = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def test_engines_stand_side_by_side_and_a_row_that_fails_stops_no_other(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    asked = ["--caps", "none", "--sizes", "100x256,256x256", "--steps", "2", "--engines", "ours,stock"]
    assert streaming.main([*DEMO, *asked, "--write", str(document)]) == 0
    head, *found = rows(document)
    assert tuple(head) == HEAD
    assert "Ours, 256×256, the same pixels at: whole." in document.read_text(encoding="utf-8")
    assert [row[:4] for row in found] == [
        [engine, "whole", size, "2"] for engine in ("ours", "stock") for size in ("100×256", "256×256")
    ]
    assert found[0][4] == found[2][4] == "1 validation error for GenerationRequest"
    for row in (found[1], found[3]):
        assert float(row[4]) > 0
        assert float(row[5]) > float(row[4])


def test_the_cards_with_the_same_pictures_are_named() -> None:
    case = Case(engine="ours", cap=0, width=512, height=512, steps=2)
    cards = [(0.0, "a"), (8.0, "a"), (4.0, "b")]
    found = [("Ours", replace(case, cap=cap), pixels) for cap, pixels in cards]
    found.append(("Ours", replace(case, cap=6.0), ""))
    assert same_pictures(found) == ["Ours, 512×512, the same pixels at: whole, 8 GB; at: 4 GB."]


def test_an_engine_that_is_not_installed_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    if find_spec("diffusers"):
        pytest.skip("diffusers is installed")
    asked = ["--caps", "none", "--sizes", "256x256", "--steps", "2", "--engines", "diffusers"]
    assert streaming.main([*DEMO, *asked]) == 0
    assert "diffusers is not installed here" in capfd.readouterr().out


def test_ours_stands_beside_others_and_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, kept = tmp_path / "benchmarks.md", tmp_path / "rows"
    asked = ["--caps", "none", "--sizes", "256x256", "--steps", "2", "--engines", "ours-compiled,diffusers-bf16"]
    asked += ["--kept", str(kept), "--write", str(document)]
    assert compare.main([*DEMO, *asked]) == 0
    head, ours, others, *_ = rows(document)
    assert tuple(head) == compare.HEAD
    assert ours[:3] == ["ours-compiled", "whole", "256×256"]
    assert ours[-1] == "uncompiled: there is no graphics card"
    assert all(float(cell) > 0 for cell in ours[3:7])
    if find_spec("diffusers"):
        assert all(float(cell) > 0 for cell in (others[3], others[5], others[6]))
    else:
        assert others[-1] == "diffusers is not installed here"
    assert "### What other cards may expect" in document.read_text(encoding="utf-8")

    def none_is_built(_cases: list[Case], _options: object, **_limits: float) -> Iterator[Row]:
        yield from (Row(case=case, fault="asked for again") for case in _cases)

    monkeypatch.setattr(compare, "measure_apart", none_is_built)
    assert compare.main([*DEMO, *asked]) == 0
    assert rows(document)[1] == ours
    assert rows(document)[2][-1] == ("asked for again" if not find_spec("diffusers") else others[-1])


def test_a_row_that_takes_too_long_is_ended_and_the_next_one_begins(tmp_path: Path) -> None:
    options = argparse.Namespace(model="demo", device="cpu", stock_steps=0, previews=False, folder=str(tmp_path))
    cases = [Case(engine="ours", cap=0, width=256, height=256, steps=steps) for steps in (1, 2)]
    found = list(apart.measure_apart(cases, options, row_limit=0.01))
    assert [(row.case, row.fault) for row in found] == [(case, "not done in 0 s") for case in cases]
    assert [row.fault for row in apart.measure_apart(cases, options, deadline=0)] == ["not reached in time"] * 2


@pytest.mark.usefixtures("in_this_process")
def test_many_pictures_in_a_row_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["--fifty", "--pictures", "3", "--caps", "none", "--sizes", "256x256", "--steps", "1"]
    assert streaming.main([*DEMO, *asked]) == 0
    assert "3 of 3 were made" in capfd.readouterr().out


def test_promises_stand_beside_what_was_taken(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    assert promises.main([*DEMO, "--profiles", "0", "--sizes", "256x256", "--write", str(document)]) == 0
    head, row = rows(document)
    assert tuple(head[:-1]) == promises.HEAD[:-1]
    assert row[:2] == ["whole", "256×256"]
    assert "=" in row[head.index("RAM")]


@pytest.mark.usefixtures("in_this_process")
def test_float8_is_compared_in_pictures_and_in_one_pass(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    assert fidelity.main([*DEMO, "--pictures", "1", "--size", "256x256", "--write", str(document)]) == 0
    found = {row[0]: row[1:] for row in rows(document)}
    assert float(found["float8, upcast"][0]) > 0.95
    assert float(found["float8 matmul"][0]) > 0.9
    assert 0 < float(found["scaled, upcast"][0].split()[0]) < 10


def test_a_picture_is_like_itself_and_not_like_noise() -> None:
    draw = torch.Generator().manual_seed(1)
    pictures = torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1
    assert ssim(pictures, pictures).allclose(torch.ones(2))
    assert float(ssim(pictures, pictures.flip(-1)).max()) < 0.3


@pytest.mark.usefixtures("in_this_process")
def test_loading_stands_beside_the_disk(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    assert loading.main([*DEMO, "--side", "256", "--folder", str(tmp_path), "--write", str(document)]) == 0
    head, *found = rows(document)
    assert tuple(head) == loading.HEAD
    assert [row[0] for row in found] == ["read", "settled", "picture"]
    assert all(float(row[2]) > 0 for row in found)
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.md"]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("model", ["demo", "flux1"])
def test_presets_stand_beside_each_trade_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setitem(SHAPES, "flux1", DEMO_SHAPE)
    # The least and the most of them: each is measured in the same way.
    monkeypatch.setattr(presets, "THRESHOLDS", (0.1, 0.4))
    document = tmp_path / "benchmarks.md"
    asked = ["--model", model, "--device", "cpu", "--size", "256x256", "--pictures", "1"]
    assert presets.main([*asked, "--write", str(document)]) == 0
    head, *found = rows(document)
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in found}
    assert {"Fast", "Standard", "Fine", "48 tokens of the prompt"} <= set(by_name)
    if model == "demo":
        assert float(by_name["step cache 0.4"]["steps made"]) < float(by_name["step cache 0.1"]["steps made"]) < 20
        assert float(by_name["Fine"]["SSIM, lowest"]) > float(by_name["step cache 0.4"]["SSIM, lowest"])
    else:
        assert by_name["every second step made"]["steps made"] == "5.0"
        assert by_name["a third of the steps made"]["steps made"] == "4.0"


@pytest.mark.usefixtures("in_this_process")
def test_the_curve_of_a_step_cache_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    assert presets.main([*DEMO, "--fit", "--size", "256x256", "--pictures", "1"]) == 0
    assert "From 1 pictures of 20 steps: (" in capfd.readouterr().out
