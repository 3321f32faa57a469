"""Files that are whole or not there."""

from pathlib import Path
from typing import Any

import pytest

from darkroom.files import write_whole


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "2026" / "02" / "a.png"
    write_whole(path, b"whole")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_whole(path, b"whole")
    not_bytes: Any = "text"
    for name in ("a.png", "b.png"):
        with pytest.raises(TypeError):
            write_whole(tmp_path / name, not_bytes)
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
