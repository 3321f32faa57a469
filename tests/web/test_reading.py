"""A file that is read: its values as this Darkroom has them, and what to say of the rest."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO
from darkroom.prompts.choices import count_of, prompts_of
from darkroom.web.reuse import reuse
from darkroom.web.routes.reading import LARGEST_PICTURE
from tests.history.test_metadata import write_png
from tests.history.test_other_tools import graph
from tests.web.conftest import ADDRESS, House
from tests.web.two_models import LARGE, ONE, reader_of

MINE = replace(
    LARGE,
    name="my-flux-v2",
    title="Of my own",
    files=replace(LARGE.files, transformer=PurePosixPath("/comfyui/unet/My Flux_v2.safetensors")),
)
SETTINGS = "Steps: 8, Seed: 1, Size: 512x512"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[TestClient]:
    """Of a Darkroom with two models. Nothing is made."""
    house = House(tmp_path, (DEMO, MINE))
    with TestClient(house.app, base_url=ADDRESS) as client:
        yield client
    house.supervisor.close()
    house.database.close()


def found_in(client: TestClient, folder: Path, language: str = "en", **chunks: str) -> dict[str, Any]:
    content = write_png(folder / "dropped.png", chunks).read_bytes()
    found: dict[str, Any] = client.post(f"/api/read?lang={language}", content=content).json()
    return found


@pytest.mark.parametrize(
    "name",
    [
        "my-flux-v2",
        "My-Flux-V2",
        "My Flux_v2",
        "my flux_v2.safetensors",
        "flux\\my flux_v2.sft",
        "flux/My Flux_v2.safetensors",
        "of my OWN",
    ],
)
def test_a_model_that_is_here_is_known_by_any_name_that_another_tool_has_for_it(
    name: str, reader: TestClient, tmp_path: Path
) -> None:
    loader = {"class_type": "UNETLoader", "inputs": {"unet_name": name}}
    for chunks in ({"parameters": f"x\n{SETTINGS}, Model: {name}"}, {"prompt": json.dumps(graph(**{"30": loader}))}):
        found = found_in(reader, tmp_path, **chunks)
        assert found["values"]["model"] == "my-flux-v2"
        assert ["Model", "Of my own"] in found["rows"]
        assert not [line for line in found["unused"] if "model" in line.lower()]


@pytest.mark.parametrize("version", ["f2.0.1", "Darkroom 1.0"])
@pytest.mark.parametrize("name", ["flux1-dev", "flux1-dev.safetensors", "FLUX.1 [dev]"])
def test_a_model_of_the_catalogue_that_is_not_here_is_not_taken_over(
    name: str, version: str, reader: TestClient, tmp_path: Path
) -> None:
    found = found_in(reader, tmp_path, parameters=f"x\n{SETTINGS}, Model: {name}, Version: {version}")
    assert "model" not in found["values"]
    assert f"Model: {name} is not a model of this Darkroom." in found["unused"]


def test_of_several_models_the_first_that_is_here_is_taken_and_the_others_are_said(
    reader: TestClient, tmp_path: Path
) -> None:
    nodes = {
        str(number): {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
        for number, name in enumerate(("sdxl.safetensors", "demo", "my-flux-v2"), 80)
    }
    found = found_in(reader, tmp_path, prompt=json.dumps(graph(**nodes, **{"30": nodes["81"]})))
    assert found["values"]["model"] == "demo"
    assert "ckpt_name: sdxl.safetensors is not a model of this Darkroom." in found["unused"]
    assert "ckpt_name: my-flux-v2 is not clear." in found["unused"]


@pytest.mark.parametrize(
    ("chunks", "fields"),
    [
        ({"parameters": f"x\n{SETTINGS}, Version: f2.0.1"}, {"loras"}),
        ({"prompt": json.dumps({name: node for name, node in graph().items() if name != "38"})}, {"loras"}),
        ({"parameters": f"x\n{SETTINGS}, Version: Darkroom 1.0"}, {"loras", "step_cache", "prompt_tokens"}),
        ({"darkroom": json.dumps({"request": {"prompt": "x"}})}, {"loras", "step_cache", "prompt_tokens"}),
    ],
    ids=["Forge", "ComfyUI", "our text", "our values"],
)
def test_a_picture_that_was_made_without_loras_and_shortcuts_takes_those_of_the_form_away(
    chunks: dict[str, str], fields: set[str], reader: TestClient, tmp_path: Path
) -> None:
    values = found_in(reader, tmp_path, **chunks)["values"]
    assert {field: values[field] for field in fields} == {field: [] if field == "loras" else 0 for field in fields}
    assert not {"step_cache", "prompt_tokens"} - fields & values.keys()


@pytest.mark.parametrize(
    ("language", "said"), [("en", "This is too large: at most 64 MiB."), ("zh", "太大了，最多 64 MiB。")]
)
def test_a_file_that_is_too_large_is_said_in_one_sentence(language: str, said: str, reader: TestClient) -> None:
    answer = reader.post(f"/api/read?lang={language}", content=bytes(LARGEST_PICTURE + 1))
    assert (answer.status_code, answer.json()["words"]) == (422, said)


@pytest.mark.parametrize("prompt", ["a {red|green} door", "{a|b} {c|{d|e}}", "a {red} door", "a|b", "plain"])
def test_braces_of_a_prompt_that_was_made_are_no_choice_when_it_is_reused(prompt: str) -> None:
    reused = reuse({"prompt": prompt}, "prompt", "demo", reader_of(ONE)).values["prompt"]
    assert isinstance(reused, str)
    assert prompts_of(reused) == (prompt,)
    assert (reused == prompt) == (count_of(prompt) == 1)


COMPUTED = {"class_type": "Wildcards", "inputs": {}}
TWO_SAMPLERS = {"99": {"class_type": "KSampler", "inputs": {}}}


@pytest.mark.parametrize(
    ("changes", "english", "chinese"),
    [
        ({"6": COMPUTED}, ["Prompt: this workflow"], ["提示词：由工作流"]),
        ({"33": COMPUTED}, ["Negative prompt: this workflow"], ["反向提示词：由工作流"]),
        ({"27": COMPUTED}, ["Size: this workflow"], ["尺寸：由工作流"]),
        (TWO_SAMPLERS, ["This workflow has 2 samplers."], ["这个工作流里有 2 个采样器"]),
        ({"31": COMPUTED}, ["This workflow has no sampler"], ["这个工作流里没有 Darkroom 认识的采样器"]),
    ],
)
def test_what_a_workflow_does_not_say_plainly_is_said_in_words(
    changes: dict[str, Any], english: list[str], chinese: list[str], reader: TestClient, tmp_path: Path
) -> None:
    for language, said in (("en", english), ("zh", chinese)):
        unused = found_in(reader, tmp_path, language, prompt=json.dumps(graph(**changes)))["unused"]
        assert [line for line in unused if line.startswith(said[0])], unused
        assert not [line for line in unused if "is not clear." in line or "含义不明" in line or ": ." in line]
