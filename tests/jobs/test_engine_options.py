"""What of the settings reaches an engine process."""

from pathlib import Path

import pytest

from darkroom.config import load_settings
from darkroom.jobs.process_engine import options_of
from darkroom.wishes import Wishes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_the_defaults_reach_the_engine(file: Path) -> None:
    options = options_of(load_settings(file))
    assert options.models == file.parent / "models"
    assert (options.device, options.threads, options.log_level) == ("auto", 0, "info")
    assert options.expandable_segments is True
    assert options.checkpoint_seconds == 5
    assert (options.convert, options.cache) == (True, file.parent / "cache")


def test_every_other_setting_of_the_engine_reaches_it(file: Path) -> None:
    file.write_text(
        "engine: {device: cpu, threads: 3, checkpoint_seconds: 0.5}\n"
        "memory_management: {expandable_segments: false}\nlogging: {level: debug}\n"
        "conversion: {enabled: false}\nfolders: {cache: /elsewhere}",
        "utf-8",
    )
    options = options_of(load_settings(file))
    assert (options.device, options.threads, options.log_level) == ("cpu", 3, "debug")
    assert options.expandable_segments is False
    assert options.checkpoint_seconds == 0.5
    assert (options.convert, options.cache) == (False, Path("/elsewhere"))


def test_without_settings_the_planner_may_use_what_is_free(file: Path) -> None:
    assert options_of(load_settings(file)).wishes == Wishes()


def test_every_wish_about_memory_reaches_the_planner_in_bytes(file: Path) -> None:
    file.write_text(
        "memory: {profile: 8, vram_limit_gb: 7.5, ram_limit_gb: 12, vae_tile: off}\n"
        "offload: {enabled: false}\nkeep_in_vram: true",
        "utf-8",
    )
    assert options_of(load_settings(file)).wishes == Wishes(
        profile="8",
        offload=False,
        keep_in_vram=True,
        vram_limit=15 * 2**29,
        ram_limit=12 * 2**30,
        vae_tile="off",
    )
