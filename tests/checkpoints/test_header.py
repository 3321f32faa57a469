"""What a safetensors file says of itself; and files that lie, each refused in words, none of them read further."""

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from darkroom.catalog import DEMO
from darkroom.checkpoints import read_header, recognise
from darkroom.checkpoints.header import LARGEST_HEADER
from darkroom.errors import ModelUnusable
from tests.checkpoints.sparse import raw, sparse

MODELS = Path(__file__).parents[2] / "models"
Make = Callable[[Path], object]


@pytest.mark.parametrize("file", [DEMO.files.transformer, DEMO.files.vae], ids=str)
def test_a_header_says_what_the_library_says(file: Path) -> None:
    header = read_header(MODELS / file)
    tensors = load_file(MODELS / file)
    content = (MODELS / file).read_bytes()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: each.shape for name, each in header.tensors.items()
    }
    for name, each in header.tensors.items():
        stored = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        assert content[each.start : each.start + each.bytes] == stored
    with safe_open(MODELS / file, framework="np") as opened:
        assert header.metadata == opened.metadata()
    assert header.bytes == sum(tensor.nbytes for tensor in tensors.values())


def test_a_tensor_without_numbers_and_one_without_dimensions_are_read(tmp_path: Path) -> None:
    save_file({"none": torch.zeros(0, 3), "one": torch.ones(())}, tmp_path / "small.safetensors")
    found = read_header(tmp_path / "small.safetensors").tensors
    assert {name: (each.shape, each.bytes) for name, each in found.items()} == {"none": ((0, 3), 0), "one": ((), 4)}


def field(shape: object = (4,), offsets: object = (0, 4), dtype: object = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def written(content: object, size: int = 4) -> Make:
    return lambda path: raw(path, json.dumps(content).encode(), size)


LIES: dict[str, Make] = {
    "empty": lambda path: path.write_bytes(b""),
    "seven bytes": lambda path: path.write_bytes(bytes(7)),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a header longer than the file": lambda path: raw(path, b"{}", length=1000),
    "a header of 2^63 bytes": lambda path: raw(path, b"{}", length=2**63),
    "a header longer than any": lambda path: raw(path, b"{}", LARGEST_HEADER + 10, length=LARGEST_HEADER + 1),
    "half a header": lambda path: raw(path, b'{"a": {"dtype": "U8", "sha'),
    "no JSON": lambda path: raw(path, b"{]"),
    "no UTF-8": lambda path: raw(path, b'{"\xff\xfe": 1}'),
    "a lone surrogate's bytes": lambda path: raw(path, b'{"\xed\xa0\x80": 1}'),
    "deep nesting": lambda path: raw(path, b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "a number of a million digits": lambda path: raw(path, b'{"a":' + b"9" * 1_000_000 + b"}"),
    "a list": lambda path: raw(path, b"{[]}"),
    "a name twice": lambda path: raw(
        path, b'{"a":' + json.dumps(field()).encode() + b',"a":' + json.dumps(field()).encode() + b"}", 4
    ),
    "two lists of metadata": lambda path: raw(path, b'{"__metadata__":{},"__metadata__":{}}'),
    "metadata that is no text": written({"__metadata__": {"a": 1}}, 0),
    "metadata that is a list": written({"__metadata__": ["a"]}, 0),
    "a tensor that is a number": written({"a": 4}),
    "a tensor without a type": written({"a": {"shape": [4], "data_offsets": [0, 4]}}),
    "a field that no one knows": written({"a": {**field(), "file": "../../other"}}),
    "a type that no one knows": written({"a": field(dtype="F7")}),
    "a type that is a list": written({"a": field(dtype=["U8"])}),
    "a side below nothing": written({"a": field(shape=[-4], offsets=[0, -4])}, 0),
    "two sides below nothing": written({"a": field(shape=[-2, -2])}),
    "a side that is half": written({"a": field(shape=[4.0])}),
    "a side that is true": written({"a": field(shape=[True], offsets=[0, 1])}, 1),
    "a side that is no number": lambda path: raw(path, b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', 4),
    "a side beyond counting": written({"a": field(shape=[2**64, 0], offsets=[0, 0])}, 0),
    "sides whose product overflows": written({"a": field(shape=[2**32, 2**32], offsets=[0, 0])}, 0),
    "a shape that is no list": written({"a": field(shape="4")}),
    "three offsets": written({"a": field(offsets=[0, 2, 4])}),
    "offsets the wrong way round": written({"a": field(offsets=[4, 0])}),
    "more bytes than the shape": written({"a": field(offsets=[0, 5])}, 5),
    "overlapping tensors": written({"a": field(), "b": field(offsets=[2, 6])}, 6),
    "the same place twice": written({"a": field(), "b": field()}),
    "a hole between tensors": written({"a": field(), "b": field(offsets=[8, 12])}, 12),
    "a hole before the first": written({"a": field(offsets=[4, 8])}, 8),
    "something after the last": written({"a": field()}, 40),
    "100 GB of which there are four": written({"a": field(shape=[10**11], offsets=[0, 10**11])}),
    "a name too long": written({"a" * 5000: field()}),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_called_damaged(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    LIES[lie](path)
    with pytest.raises(ModelUnusable) as raised:
        read_header(path)
    assert (raised.value.reason, raised.value.file) == ("damaged", "model.safetensors")
    assert "model.safetensors" in str(raised.value)


@pytest.mark.parametrize("lie", LIES)
def test_what_the_library_refuses_is_refused(lie: str, tmp_path: Path) -> None:
    """Ours is the stricter one: it knows a longest name and other limits."""
    path = tmp_path / "model.safetensors"
    LIES[lie](path)
    try:
        safe_open(path, framework="np")
    except (SafetensorError, OSError):
        with pytest.raises(ModelUnusable):
            read_header(path)


def test_a_file_cut_anywhere_is_called_damaged(tmp_path: Path) -> None:
    content = (MODELS / DEMO.files.text_encoder_1).read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in (0, 1, 7, 8, 9, 100, 5000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelUnusable) as raised:
            recognise(path)
        assert raised.value.reason == "damaged", length


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelUnusable) as raised:
        recognise(tmp_path / "pipe.safetensors")
    assert raised.value.reason == "damaged"


def test_a_file_that_is_not_there_and_a_link_to_nowhere_are_missing(tmp_path: Path) -> None:
    link = tmp_path / "link.safetensors"
    try:
        link.symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("links cannot be made here")
    for path in (link, tmp_path / "none.safetensors"):
        with pytest.raises(ModelUnusable) as raised:
            recognise(path)
        assert raised.value.reason == "missing"


class Bomb:
    """What a pickled file may do when it is opened."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was opened",))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))


OTHERS: dict[str, tuple[str, str, Make]] = {
    "torch's file": ("pickled", "model.ckpt", zipped),
    "torch's file by another name": ("pickled", "model.safetensors", zipped),
    "a pickle": ("pickled", "model.pt", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    "a pickle by another name": ("pickled", "model.safetensors", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    "an old pickle": ("pickled", "model.bin", lambda path: path.write_bytes(pickle.dumps(Bomb(), protocol=0))),
    "GGUF": ("gguf", "model.gguf", lambda path: path.write_bytes(b"GGUF" + bytes(100))),
    "GGUF by another name": ("gguf", "model.safetensors", lambda path: path.write_bytes(b"GGUF" + bytes(100))),
    "a page": ("web_page", "m.safetensors", lambda path: path.write_bytes(b"<!DOCTYPE html><html><title>Log in")),
    "a page after a blank line": ("web_page", "m.safetensors", lambda path: path.write_bytes(b"\r\n <html>" * 20)),
    "an error": ("web_page", "m.safetensors", lambda path: path.write_bytes(b'{"error": "Unauthorized"}')),
    "a pointer": (
        "web_page",
        "m.safetensors",
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_safetensors_file_is_called_what_it_is_and_never_opened(kind: str, tmp_path: Path) -> None:
    reason, name, make = OTHERS[kind]
    make(tmp_path / name)
    with pytest.raises(ModelUnusable) as raised:
        recognise(tmp_path / name)
    assert raised.value.reason == reason


def test_names_that_look_like_paths_are_only_names(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    path = sparse(tmp_path / "models" / "odd.safetensors", {"../outside": ("F32", (4,)), "/etc/passwd": ("F32", (4,))})
    with pytest.raises(ModelUnusable) as raised:
        recognise(path)
    assert raised.value.reason == "unknown"
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")} == {
        "outside",
        "models",
        "models/odd.safetensors",
    }
    assert outside.read_text() == "mine"
