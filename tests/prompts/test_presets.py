"""Presets: the catalogue's figures, and those that the settings put in their place."""

from pathlib import Path

import pytest

from darkroom.catalog import DEMO, MODELS, PRESET_NAMES, ModelEntry
from darkroom.config import Settings, load_settings
from darkroom.prompts.presets import presets_for
from darkroom.request import parse_request


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def figures(settings: Settings) -> dict[str, tuple[int, float]]:
    return {preset.name: (preset.steps, preset.guidance) for preset in presets_for(DEMO, settings)}


def test_the_demo_makes_a_picture_in_4_8_or_20_steps(file: Path) -> None:
    assert figures(load_settings(file)) == {"fast": (4, 3.5), "standard": (8, 3.5), "fine": (20, 3.5)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_has_every_preset_and_begins_with_standard(model: ModelEntry) -> None:
    assert tuple(preset.name for preset in model.presets) == PRESET_NAMES
    standard = next(preset for preset in model.presets if preset.name == "standard")
    assert (standard.steps, standard.guidance) == (model.default_steps, model.default_guidance)
    for preset in model.presets:
        size = {"width": model.default_width, "height": model.default_height}
        parse_request({"prompt": "", "seed": 0, "model": model.name, **preset.values, **size})


def test_settings_change_what_they_name_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("presets: {demo: {fine: {steps: 40}, fast: {guidance: 2}}}", "utf-8")
    assert figures(load_settings(file)) == {"fast": (4, 2.0), "standard": (8, 3.5), "fine": (40, 3.5)}
    monkeypatch.setenv("DARKROOM_PRESETS__DEMO__FINE__STEPS", "30")
    monkeypatch.setenv("DARKROOM_PRESETS__DEMO__FINE__GUIDANCE", "4.5")
    assert figures(load_settings(file)) == {"fast": (4, 2.0), "standard": (8, 3.5), "fine": (30, 4.5)}


def test_settings_say_what_a_preset_trades(file: Path) -> None:
    file.write_text("presets: {demo: {fine: {step_cache: 0.2, prompt_tokens: 64}}}", "utf-8")
    values = {preset.name: preset.values for preset in presets_for(DEMO, load_settings(file))}
    assert values["fine"] == {"steps": 20, "guidance": 3.5, "step_cache": 0.2, "prompt_tokens": 64}
    assert values["standard"]["step_cache"] == 0


def test_a_preset_says_what_a_request_may_ask_for(file: Path) -> None:
    file.write_text("presets: {demo: {fast: {steps: 1, guidance: 0}, fine: {steps: 100, guidance: 30}}}", "utf-8")
    assert figures(load_settings(file)) == {"fast": (1, 0.0), "standard": (8, 3.5), "fine": (100, 30.0)}
