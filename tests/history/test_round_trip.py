"""Any request comes back from its picture as it was; no file, however odd, does anything but say nothing."""

import json
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from darkroom.history.metadata.read import FoundParameters, read_parameters
from darkroom.history.metadata.write import parameters_text, png_text
from darkroom.history.pictures import png_bytes
from darkroom.request import GenerationRequest, LoraUse
from tests.history.examples import ODD_REQUESTS, request
from tests.history.test_metadata import BLACK, chunk, write_png
from tests.history.test_other_tools import A1111, FORGE, graph

PIECES = (
    *("a", "Z", " ", "  ", "\n", "\r\n", "\t", ",", ":", '"', "\\", "{", "[", "<lora:x:1>", "(word:1.2)", "BREAK"),
    *("猫", "é", "🏳️‍🌈", "\u202e", "\ufeff", "\u2028", "Steps: 5, Seed: 6, Size: 64x64", "Negative prompt:", "\\u0000"),
)


def any_text(chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.randrange(30)))


def any_loras(chance: random.Random) -> tuple[LoraUse, ...]:
    names = chance.sample(("ink", "drawings/ink", "水墨", "a, b (c) [d]", "it's #1"), chance.choice((0, 0, 1, 3)))
    return tuple(LoraUse(name=name, weight=chance.choice((1.0, -2.0, chance.uniform(-2, 2)))) for name in names)


def any_request(chance: random.Random) -> GenerationRequest:
    cfg_scale = chance.choice((1.0, 20.0, chance.uniform(1, 20)))
    return GenerationRequest(
        prompt=any_text(chance),
        negative_prompt=any_text(chance),
        seed=chance.choice((0, 2**32 - 1, chance.randrange(2**32))),
        steps=chance.randint(1, 100),
        guidance=chance.choice((0.0, 30.0, chance.uniform(0, 30))),
        cfg_scale=cfg_scale,
        step_cache=chance.choice((0.0, 1.0, chance.uniform(0, 1))) if cfg_scale == 1 else 0.0,
        prompt_tokens=16 * chance.choice((0, 0, chance.randint(0, 32))),
        width=16 * chance.randint(4, 256),
        height=16 * chance.randint(4, 256),
        model=chance.choice(("demo", "another, later: one", any_text(chance).strip() or "x"))[:100],
        loras=any_loras(chance),
    )


def found_in(path: Path) -> FoundParameters:
    found = read_parameters(path)
    assert found is not None
    return found


def test_any_request_comes_back_from_its_picture(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = tmp_path / "a.png"
    for asked in (*ODD_REQUESTS, *(any_request(chance) for _ in range(300))):
        path.write_bytes(png_bytes(BLACK, png_text(asked, {"seconds": 1.5})))
        found = found_in(path)
        assert (found.origin, found.unused) == ("Darkroom", ())
        assert GenerationRequest.model_validate(dict(found.values)) == asked


def test_any_request_comes_back_from_the_text_alone_unless_a_prompt_imitates_it(tmp_path: Path) -> None:
    chance = random.Random(2)
    for _ in range(300):
        asked = any_request(chance).model_copy(update={"model": "demo"})
        if "Negative prompt:" in asked.prompt:
            continue
        found = found_in(write_png(tmp_path / "a.png", {"parameters": parameters_text(asked)}))
        assert found.origin == "Darkroom"
        assert GenerationRequest.model_validate(dict(found.values)) == asked


def test_a_picture_of_a_later_version_gives_what_is_known(tmp_path: Path) -> None:
    later = request().model_dump() | {"sharpness": 2, "steps": 101, "width": 65}
    found = found_in(write_png(tmp_path / "a.png", {"darkroom": json.dumps({"request": later})}))
    kept = {"prompt", "negative_prompt", "seed", "guidance", "cfg_scale", "model", "loras"}
    kept |= {"step_cache", "prompt_tokens"}
    assert found.values == {name: later[name] for name in kept}
    assert {unused.name: unused.reason for unused in found.unused} == {
        "sharpness": "not_supported",
        "steps": "not_allowed",
        "width × height": "not_allowed",
    }


def test_what_was_found_cannot_be_changed(tmp_path: Path) -> None:
    found = found_in(write_png(tmp_path / "a.png", {"parameters": FORGE}))
    with pytest.raises(TypeError):
        found.values["seed"] = 1  # type: ignore[index]


VALUES = (None, True, -1, 2**70, 1e308, "", "x", "1e999", "9" * 5000, [], {}, ["6", 0], ["35", 0], [[]] * 9, {"a": {}})
KEYS = (
    *("request", "prompt", "sui_image_params", "base_model", "seed", "steps", "width", "height", "resolution"),
    *("guidance", "cfg_scale", "cfgscale", "model", "class_type", "inputs", "positive_prompt", "negative_prompt"),
)


def any_json(chance: random.Random, depth: int = 0) -> object:
    if depth > 3 or chance.random() < 0.3:
        return chance.choice(VALUES)
    return {key: any_json(chance, depth + 1) for key in chance.choices(KEYS, k=chance.randrange(6))}


def test_any_json_under_any_name_is_read_or_ignored(tmp_path: Path) -> None:
    chance = random.Random(3)
    for _ in range(400):
        name = chance.choice(("darkroom", "parameters", "invokeai_metadata", "prompt"))
        content = any_json(chance)
        if name == "prompt":
            node = chance.choice(tuple(graph()))
            content = graph(**{node: {"class_type": graph()[node]["class_type"], "inputs": content}})
        text = json.dumps(content)
        read_parameters(write_png(tmp_path / "a.png", {name: text}))


def deep(text: str, times: int) -> str:
    return text * times + "1" + {"[": "]", '{"a":': "}"}[text] * times


@pytest.mark.parametrize("times", [100, 900, 990, 5000])
@pytest.mark.parametrize("text", ["[", '{"a":'])
def test_deeply_nested_json_is_read_or_ignored(text: str, times: int, tmp_path: Path) -> None:
    for name in ("darkroom", "parameters", "invokeai_metadata", "prompt"):
        for content in (deep(text, times), f'{{"request": {{"prompt": {deep(text, times)}}}}}'):
            read_parameters(write_png(tmp_path / "a.png", {name: content}))
    for line in (deep(text, times), deep(text, times)[:times]):
        read_parameters(write_png(tmp_path / "a.png", {"parameters": f"Steps: 4, Seed: 1, Size: 64x64, Odd: {line}"}))


@pytest.mark.parametrize(
    "text", ["a:[" * 300_000, 'a:"' * 300_000, "a:" * 500_000, 'a:["q,' * 200_000, "\n" * 900_000, "x" * 1_900_000]
)
def test_long_settings_are_read_in_good_time(text: str, tmp_path: Path) -> None:
    found = found_in(write_png(tmp_path / "a.png", {"parameters": f"Steps: 4, Seed: 1, Size: 64x64, {text}"}))
    assert found.values["seed"] == 1
    assert len(found.unused) <= 100
    assert all(len(unused.name) <= 61 and len(unused.value) <= 61 for unused in found.unused)


def test_a_text_that_is_too_long_is_ignored(tmp_path: Path) -> None:
    text = f"{'x' * 2_000_000}\nSteps: 4, Seed: 1, Size: 64x64"
    assert read_parameters(write_png(tmp_path / "a.png", {"parameters": text})) is None


def picture(format: str, folder: Path) -> bytes:
    if format == "PNG":
        return write_png(folder / "a", {"parameters": FORGE, "prompt": json.dumps(graph()), "é": "猫"}).read_bytes()
    exif = Image.Exif()
    exif[0x0110] = "prompt:{}"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode("utf-16-be")
    Image.new("RGB", (8, 8)).save(folder / "a", format, exif=exif)
    return (folder / "a").read_bytes()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_file_is_read_or_ignored(format: str, tmp_path: Path) -> None:
    chance = random.Random(4)
    whole = picture(format, tmp_path)
    path = tmp_path / "a"
    for _ in range(500):
        damaged = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(1, 6)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        path.write_bytes(damaged)
        read_parameters(path)


def webp(*chunks: tuple[bytes, int, bytes]) -> bytes:
    body = b"".join(struct.pack("<4sI", kind, size) + content for kind, size, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize(
    "content",
    [
        webp((b"EXIF", 2**32 - 1, b"")),
        webp((b"VP8X", 10, bytes(4) + b"\xff" * 6), (b"EXIF", 8, b"MM\0*\0\0\0\x08")),
        webp(*[(b"ABCD", 0, b"")] * 5000),
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        + b"\x7f\xff\xff\xfftEXtpara",
        b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b" " * 50_000_000)),
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM\0*\0\0\0\x08",
        b"\xff\xd8" + b"\xff\xe1\x00\x0aExif\0\0II" * 3000,
    ],
    ids=["cut", "huge canvas", "many chunks", "huge text", "text bomb", "cut exif", "many exifs"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_file_made_to_break_readers_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_parameters(tmp_path / "a") is None


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_parameters(tmp_path / "none.png") is None
    assert read_parameters(tmp_path) is None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", {"parameters": FORGE})
    with path.open("ab") as file:
        file.truncate(2**28)
    assert read_parameters(path) is None
