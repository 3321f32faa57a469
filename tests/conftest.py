"""What tests of every room share. Fixtures of one room stand in that room's own conftest."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from darkroom.engine.process import ENVIRONMENT
from tools.chromium import ARGUMENTS, HOW_TO_GET_ONE, find_chromium

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """What the engine process sets before torch is imported, for tests that import it themselves.

    Of several test processes (`pytest -n 2`) each takes its share of the cores; the engines they start inherit that.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // int(workers))))


def pytest_collection_finish() -> None:
    """What is imported by now stays. Looking through it took a quarter of a second in every collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _only_the_variables_a_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("DARKROOM_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of app.py."""
    return ROOT


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Without one a test is skipped and says how to get it; with CI set it fails."""
    path = find_chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()
