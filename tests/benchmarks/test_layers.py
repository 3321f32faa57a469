"""The programs that try other layers end well and write their tables, with the demo's shapes on the processor."""

from pathlib import Path

import pytest
import torch

from benchmarks import int8, lora
from benchmarks.int8 import Int8Linear
from darkroom.engine.float8 import Float8Linear, quantize

SMALL = ["--device", "cpu", "--width", "64", "--rows", "64"]


def rows(document: Path) -> dict[str, list[str]]:
    lines = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]
    return {row[0]: row[1:] for row in cells}


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("tokens", [1, 64])
def test_an_int8_layer_is_near_the_float8_one_that_it_is_made_of(by_row: bool, tokens: int) -> None:
    draw = torch.Generator().manual_seed(2)
    layer = Float8Linear(*quantize(torch.randn(96, 64, generator=draw)), torch.randn(96, generator=draw))
    hidden = torch.randn(1, tokens, 64, generator=draw)
    difference = Int8Linear(layer, by_row=by_row)(hidden) - layer(hidden)
    assert difference.norm() / layer(hidden).norm() < 0.03


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_int8_is_compared_in_pictures(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    asked = ["--pictures", "1", "--size", "256x256", *SMALL]
    assert int8.main([*asked, "--write", str(document)]) == 0
    assert float(rows(document)["int8, a scale for each row"][0]) > 0.95


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_steps_with_loras_stand_beside_one_without(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    asked = ["--model", "demo", "--size", "256x256", "--steps", "2", "--ways", "eager", "--loras", "0,1", "--layers"]
    assert lora.main([*asked, *SMALL, "--write", str(document)]) == 0
    text = document.read_text(encoding="utf-8")
    assert text.count("| eager | whole |") == 2
    assert "| folded, pitch 16 |" in text
