"""What a PNG says about itself, written and read back."""

import json
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom import __version__
from darkroom.history.metadata.read import read_parameters, read_request
from darkroom.history.metadata.write import parameters_text, png_text
from darkroom.history.pictures import png_bytes
from darkroom.request import GenerationRequest
from tests.history.examples import ODD_REQUESTS, request

BLACK = Image.new("RGB", (64, 64))


def write_png(path: Path, chunks: dict[str, str]) -> Path:
    text = PngInfo()
    for name, value in chunks.items():
        text.add_text(name, value)
    path.write_bytes(png_bytes(BLACK, text))
    return path


@pytest.mark.parametrize("asked", ODD_REQUESTS)
def test_a_request_comes_back_equal_from_its_picture(asked: GenerationRequest, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(BLACK, png_text(asked, {"seconds": 1.5})))
    assert read_request(path) == asked


@pytest.mark.parametrize("asked", ODD_REQUESTS)
def test_other_tools_find_the_parameters_whatever_the_language(asked: GenerationRequest, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(BLACK, png_text(asked, {})))
    with Image.open(path) as image:
        assert image.info["parameters"] == parameters_text(asked)


def test_parameters_are_in_the_form_of_a1111_and_forge() -> None:
    settings = (
        "Steps: 8, Sampler: Euler, CFG scale: 1.0, Distilled CFG Scale: 3.5, Seed: 42, "
        f"Size: 512x512, Model: demo, Version: Darkroom {__version__}"
    )
    asked = request(prompt="a barn,\nat night", steps=8, width=512, height=512)
    assert parameters_text(asked) == f"a barn,\nat night\n{settings}"
    asked = request(prompt="a barn", negative_prompt="people", steps=8, width=512, height=512)
    assert parameters_text(asked) == f"a barn\nNegative prompt: people\n{settings}"


def test_a_model_name_with_a_comma_does_not_break_the_line() -> None:
    assert 'Model: "demo, small", Version' in parameters_text(request(model="demo, small"))


def test_our_own_text_names_version_request_and_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(BLACK, png_text(request(prompt="猫"), {"seconds": 1.5, "device": "cpu"})))
    with Image.open(path) as image:
        own = json.loads(image.info["darkroom"])
    assert own["version"] == __version__
    assert own["request"]["prompt"] == "猫"
    assert own["facts"] == {"seconds": 1.5, "device": "cpu"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "12",
        '"request"',
        "{}",
        '{"request": null}',
        '{"request": {"prompt": "only"}}',
        json.dumps({"request": request().model_dump() | {"width": 65}}),
        json.dumps({"request": request().model_dump() | {"later_field": 1}}),
        json.dumps({"request": request().model_dump() | {"guidance": float("nan")}}),
        json.dumps({"request": request().model_dump() | {"prompt": "\ud800"}}),
        "[" * 100_000,
        '{"request": {"seed": ' + "9" * 10_000 + "}}",
    ],
    ids=lambda text: text[:20],
)
def test_text_that_is_no_request_is_none(text: str, tmp_path: Path) -> None:
    assert read_request(write_png(tmp_path / "a.png", {"darkroom": text})) is None


def test_a_picture_of_another_tool_is_none(tmp_path: Path) -> None:
    assert read_request(write_png(tmp_path / "a.png", {"parameters": "a cat\nSteps: 20"})) is None


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
HUGE = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
BOMB = chunk(b"zTXt", b"darkroom\x00\x00" + zlib.compress(b" " * 50_000_000))
SMALL = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff\xe0",
        SIGNATURE,
        SIGNATURE + HUGE,
        SIGNATURE + SMALL[:-2],
        SIGNATURE + SMALL + BOMB,
    ],
    ids=["empty", "gif", "jpeg", "cut after signature", "huge", "cut in header", "text bomb"],
)
def test_a_file_that_is_no_good_png_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert read_request(path) is None


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_request(tmp_path / "none.png") is None
    assert read_request(tmp_path) is None


def text_chunks(name: bytes, text: str) -> dict[str, bytes]:
    content = text.encode()
    return {
        "tEXt": chunk(b"tEXt", name + b"\0" + content),
        "zTXt": chunk(b"zTXt", name + b"\0\0" + zlib.compress(content)),
        "iTXt": chunk(b"iTXt", name + b"\0\0\0\0\0" + content),
    }


def with_chunks(path: Path, chunks: bytes, *, behind: bool) -> Path:
    """A picture with these before its pixels or behind them."""
    whole = png_bytes(BLACK, PngInfo())
    place = whole.index(b"IEND" if behind else b"IDAT") - 4
    path.write_bytes(whole[:place] + chunks + whole[place:])
    return path


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_a_text_in_utf8_is_read_from_any_chunk_wherever_it_stands(kind: str, behind: bool, tmp_path: Path) -> None:
    chunks = text_chunks(b"parameters", "château, 猫\nSteps: 4, Seed: 1, Size: 64x64")[kind]
    found = read_parameters(with_chunks(tmp_path / "a.png", chunks, behind=behind))
    assert found is not None
    assert found.values["prompt"] == "château, 猫"


def test_a_text_in_latin_1_is_read_as_that(tmp_path: Path) -> None:
    content = "café\nSteps: 4, Seed: 1, Size: 64x64".encode("latin-1")
    found = read_parameters(with_chunks(tmp_path / "a.png", chunk(b"tEXt", b"parameters\0" + content), behind=False))
    assert found is not None
    assert found.values["prompt"] == "café"


@pytest.mark.parametrize("broken", [BOMB, BOMB[:-2], b"\xff" * 9, b"\0\0\0\1tEX"], ids=["bomb", "cut", "odd", "short"])
def test_what_is_broken_behind_the_pixels_takes_nothing_from_what_stands_before(broken: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = png_bytes(BLACK, png_text(request(prompt="猫"), {}))
    path.write_bytes(whole[: whole.index(b"IEND") - 4] + broken)
    assert read_request(path) == request(prompt="猫")


def test_a_text_before_the_pixels_counts_more_than_one_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = png_bytes(BLACK, png_text(request(prompt="first"), {}))
    later = json.dumps({"request": request(prompt="later").model_dump(mode="json")})
    path.write_bytes(whole[: whole.index(b"IEND") - 4] + text_chunks(b"darkroom", later)["tEXt"])
    assert read_request(path) == request(prompt="first")
