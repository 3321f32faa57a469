"""What of the settings reaches an engine process."""

from pathlib import Path

import pytest

from darkroom.config import load_settings
from darkroom.jobs.process_engine import options_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_the_defaults_bring_parts_of_the_model_to_the_card_only_while_they_work(file: Path) -> None:
    options = options_of(load_settings(file))
    assert options.models == file.parent / "models"
    assert (options.device, options.threads, options.log_level) == ("auto", 0, "info")
    assert (options.expandable_segments, options.keep_on_card) == (True, False)


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        ("keep_in_vram: false\noffload: {enabled: true}", False),
        ("keep_in_vram: true", True),
        ("offload: {enabled: false}", True),
        ("keep_in_vram: true\noffload: {enabled: true}", True),
        ("keep_in_vram: false\noffload: {enabled: false}", True),
    ],
)
def test_either_of_two_settings_keeps_the_model_on_the_card(content: str, stays: bool, file: Path) -> None:
    file.write_text(content, "utf-8")
    assert options_of(load_settings(file)).keep_on_card is stays


def test_every_other_setting_of_the_engine_reaches_it(file: Path) -> None:
    file.write_text(
        "engine: {device: cpu, threads: 3}\nmemory_management: {expandable_segments: false}\nlogging: {level: debug}",
        "utf-8",
    )
    options = options_of(load_settings(file))
    assert (options.device, options.threads, options.log_level) == ("cpu", 3, "debug")
    assert options.expandable_segments is False
