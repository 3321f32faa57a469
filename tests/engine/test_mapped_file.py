"""A file as memory: read at the speed of the disk, closed with its last tensor, and never half copied in silence."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from darkroom.engine.mapped_file import PORTION, MappedFile, copy_all, is_mapped

BYTES = 3 * PORTION + 1234
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the system does not list open files")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(BYTES))
    return path


def as_tensor(path: Path) -> Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def test_what_lies_in_a_file_is_known_through_every_view_of_it(file: Path) -> None:
    content = MappedFile(file).content()
    assert is_mapped(content)
    assert is_mapped(content[100:].view(-1)[:64].view(torch.float8_e4m3fn).detach())
    assert is_mapped(torch.nn.Parameter(content[:64].view(torch.bfloat16), requires_grad=False))
    assert not is_mapped(content.clone())


@pytest.mark.parametrize(("low", "high"), [(0, BYTES), (7, 8), (PORTION - 1, 2 * PORTION + 1), (5, 5)])
def test_any_part_is_copied_byte_for_byte(file: Path, low: int, high: int) -> None:
    target = torch.zeros(BYTES + 2, dtype=torch.uint8)
    copy_all([(target[1 : 1 + high - low], MappedFile(file).content()[low:high])])
    assert torch.equal(target[1 : 1 + high - low], as_tensor(file)[low:high])
    assert not target[0]
    assert not target[1 + high - low :].any()


def test_files_and_memory_are_copied_together(file: Path) -> None:
    sources = [MappedFile(file).content(), torch.arange(200, dtype=torch.uint8), as_tensor(file)]
    targets = [torch.zeros_like(source) for source in sources]
    copy_all(list(zip(targets, sources, strict=True)))
    for target, source in zip(targets, sources, strict=True):
        assert torch.equal(target, source)


@pytest.mark.parametrize("source", [lambda file: MappedFile(file).content(), as_tensor], ids=["file", "memory"])
def test_between_two_portions_it_may_be_ended(file: Path, source: Callable[[Path], Tensor]) -> None:
    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise InterruptedError("enough")

    target = torch.zeros(BYTES, dtype=torch.uint8)
    with pytest.raises(InterruptedError, match="enough"):
        copy_all([(target, source(file))], between=between)
    assert calls == 2


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="files are only mapped here")
def test_a_file_that_became_shorter_is_no_silence(file: Path) -> None:
    content = MappedFile(file).content()
    with file.open("r+b") as opened:
        opened.truncate(PORTION)
    with pytest.raises(OSError, match="shorter"):
        copy_all([(torch.zeros(BYTES, dtype=torch.uint8), content)])


@on_linux
def test_the_file_is_open_as_long_as_anything_of_it_is_in_use(file: Path) -> None:
    def is_open() -> bool:
        return file in [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]

    part: Tensor | None = MappedFile(file).content()[5:10]
    gc.collect()
    assert is_open()
    assert part is not None
    assert bytes(part.tolist()) == file.read_bytes()[5:10]
    part = None
    gc.collect()
    assert not is_open()


def test_letting_go_changes_nothing_but_where_the_bytes_are(file: Path) -> None:
    mapped = MappedFile(file)
    content = mapped.content()
    elsewhere = content.clone()
    mapped.let_go(content[100 : 2 * PORTION])
    mapped.let_go(elsewhere)
    assert torch.equal(content, as_tensor(file))
    assert torch.equal(elsewhere, as_tensor(file))
