"""A running Darkroom and someone who visits it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.server import DarkroomServer
from tests.browser.visitor import Visitor

# What is waited for comes much sooner, but not on two slow cores that have other things to do.
expect.set_options(timeout=30_000)

Visit = Callable[..., Visitor]
Scheme = Literal["light", "dark"]


@pytest.fixture
def darkroom(root: Path, tmp_path: Path) -> Iterator[DarkroomServer]:
    server = DarkroomServer(root, tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="package")
def lasting_darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    """For all files that say `darkroom = emptied`."""
    server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="package")
def pictureless_darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    """For all files that say `darkroom = pictureless`."""
    server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def visit(browser: Browser, darkroom: DarkroomServer) -> Iterator[Visit]:
    """Opens the page as a new person: nothing remembered, and no word to any other machine."""
    contexts = []
    visitors: list[Visitor] = []

    def arrive(*, width: int = 1280, locale: str = "en-GB", scheme: Scheme = "light") -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": 860}, locale=locale, color_scheme=scheme)
        contexts.append(context)
        visitors.append(Visitor(context, darkroom.address))
        visitors[-1].open()
        return visitors[-1]

    yield arrive
    for context in contexts:
        context.close()
    assert [visitor.errors for visitor in visitors if visitor.errors] == []
    assert [visitor.outside for visitor in visitors if visitor.outside] == []
