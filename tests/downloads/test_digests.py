"""The checksums of files that pictures are made with: known at once where they can be, and else some time later."""

import hashlib
import time
from pathlib import Path

import pytest

from darkroom.downloads import digests
from darkroom.downloads.digests import Digests, file_now
from darkroom.downloads.records import Records, Verdict

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PLACE = "a.safetensors"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / PLACE
    path.write_bytes(CONTENT)
    return path


def known_soon(known: Digests, path: Path) -> str | None:
    for _ in range(500):
        if (sha256 := known.known(file_now(path))) is not None:
            return sha256
        time.sleep(0.01)
    return None


def test_a_small_file_is_read_at_once_and_nothing_is_written(path: Path, tmp_path: Path) -> None:
    known = Digests(Records(tmp_path))
    assert known.known(file_now(path)) is None
    assert known.find(file_now(path)) == known.known(file_now(path)) == SHA256
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_file_is_read_in_the_background_and_remembered(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "AT_ONCE", 10)
    monkeypatch.setattr(digests, "BLOCK", 100)
    known = Digests(Records(tmp_path))
    assert known.find(file_now(path)) is None
    assert known_soon(known, path) == SHA256
    # After a restart, too.
    again = Digests(Records(tmp_path))
    assert again.known(file_now(path)) == SHA256
    path.write_bytes(CONTENT + b"!")
    assert again.known(file_now(path)) is None


def test_what_a_check_found_is_not_read_again(path: Path, tmp_path: Path) -> None:
    records = Records(tmp_path)
    now = file_now(path)
    records.judge(PLACE, Verdict(size=now.size, changed=now.changed, sha256="0" * 64, whole=True))
    known = Digests(records)
    assert known.find(now, PLACE) == "0" * 64
    assert known.find(now) == SHA256


def test_a_file_that_changes_while_it_is_read_has_no_checksum(path: Path, tmp_path: Path) -> None:
    before = file_now(path)
    path.write_bytes(CONTENT + b"!")
    assert Digests(Records(tmp_path)).read(before) is None


def test_a_file_that_goes_away_is_no_trouble(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "AT_ONCE", 10)
    known, now = Digests(Records(tmp_path)), file_now(path)
    path.unlink()
    assert known.find(now) is None
    other = tmp_path / "b.safetensors"
    other.write_bytes(CONTENT)
    assert known.find(file_now(other)) is None
    assert known_soon(known, other) == SHA256


def test_records_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    folder = tmp_path / ".darkroom"
    folder.mkdir()
    (folder / "downloads.json").write_text(
        '{"version": 1, "verdicts": {"a": {"size": 1, "changed": 2, "sha256": "x", "whole": true}}, '
        '"beginnings": {}, "wanted": []}'
    )
    assert Records(tmp_path).verdict("a") == Verdict(size=1, changed=2, sha256="x", whole=True)
