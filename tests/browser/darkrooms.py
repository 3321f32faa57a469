"""Which Darkroom the tests of a file visit: the file says `darkroom = …` with one of these, or makes its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.browser.server import DarkroomServer
from tests.browser.stock import stock


def stocked(pictures: Sequence[dict[str, Any]], *, scope: Literal["module", "function"] = "module") -> Any:
    """One with these pictures, the first the oldest: for the whole file, or another one for each test."""

    @pytest.fixture(scope=scope)
    def darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
        server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
        stock(server.history, pictures)
        server.start()
        yield server
        server.close()

    return darkroom


@pytest.fixture
def pictureless(pictureless_darkroom: DarkroomServer) -> DarkroomServer:
    """One for all files in which no picture is made. Styles of a person's own may be in it."""
    return pictureless_darkroom


@pytest.fixture
def emptied(lasting_darkroom: DarkroomServer) -> DarkroomServer:
    """One for all files in which pictures are made, emptied before each test: its engine loads the model once."""
    lasting_darkroom.empty()
    return lasting_darkroom
