"""Pictures of other tools, in the formats they write, and what a request can take over from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkroom.history.metadata.found import FoundLora, FoundModel
from darkroom.history.metadata.read import FoundParameters, read_parameters
from tests.history.test_metadata import write_png

FORGE = (
    "a harbour at dawn, <lora:old film:0.8> boats\nsecond line\n"
    "Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 3045329758, "
    "Size: 832x1216, Model hash: 06f96f89f6, Model: flux_dev, "
    'Lora hashes: "old film: de92428f6411, other: c4f0b45e6a60", Version: f2.0.1v1.10.1-previous-561-g82eb7566, '
    "Module 1: ae, Module 2: clip_l"
)
A1111 = (
    "a cabin in the woods\nNegative prompt: blurry,\nNegative prompt: text\n"
    "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 777, Size: 512x768, "
    "Denoising strength: 0.4, Clip skip: 2, Hires upscale: 2, Hires upscaler: Latent, Version: v1.10.1"
)


def found_in(folder: Path, **chunks: str) -> FoundParameters:
    found = read_parameters(write_png(folder / "a.png", chunks))
    assert found is not None
    return found


def reasons(found: FoundParameters) -> dict[str, str]:
    return {unused.name: unused.reason for unused in found.unused}


def test_forge_with_flux_gives_both_guidances_and_says_what_is_left(tmp_path: Path) -> None:
    found = found_in(tmp_path, parameters=FORGE)
    assert found.origin == "Forge"
    assert found.values == {
        "prompt": "a harbour at dawn,  boats\nsecond line",
        "negative_prompt": "",
        "steps": 20,
        "seed": 3045329758,
        "width": 832,
        "height": 1216,
        "guidance": 3.5,
        "cfg_scale": 1.0,
    }
    assert isinstance(found.values["cfg_scale"], float)
    assert reasons(found) == {
        "Sampler": "not_supported",
        "Schedule type": "not_supported",
        "Model hash": "not_supported",
        "Lora hashes": "not_supported",
        "Module 1": "not_supported",
        "Module 2": "not_supported",
    }
    values = {unused.name: unused.value for unused in found.unused}
    assert found.loras == (FoundLora(name="old film", weight=0.8),)
    assert found.models == (FoundModel(name="flux_dev", said="Model"),)
    assert values["Lora hashes"] == "old film: de92428f6411, other: c4f0b45e6a60"


@pytest.mark.parametrize(
    ("tags", "weights"),
    [
        ("<lora:a>", {"a": 1.0}),
        ("<lora:a:0.5><lora:a:0.9>", {"a": 0.5}),
        ("<lora:a:0.5:0.7><lyco:b:-1>", {"a": 0.7, "b": -1.0}),
        ("<lora:folder\\a:te=0.1:unet=0.3>", {"folder\\a": 0.3}),
        ("<lora:a:0>", {}),
    ],
)
def test_loras_are_taken_out_of_a_prompt_with_their_weights(
    tags: str, weights: dict[str, float], tmp_path: Path
) -> None:
    found = found_in(tmp_path, parameters=f"a {tags}\nSteps: 4, Seed: 1, Size: 64x64")
    assert found.values["prompt"] == "a "
    assert {lora.name: lora.weight for lora in found.loras} == weights
    assert found.unused == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<lora:a:much>", "unclear"),
        ("<lora: :1>", "unclear"),
        ("<lora:a:1e999>", "unclear"),
        ("<hypernet:a:1>", "not_supported"),
        ("x\nNegative prompt: <lora:a:1>", "not_supported"),
    ],
)
def test_what_is_no_lora_of_the_picture_is_said(text: str, reason: str, tmp_path: Path) -> None:
    found = found_in(tmp_path, parameters=f"{text}\nSteps: 4, Seed: 1, Size: 64x64")
    assert found.loras == ()
    assert reasons(found) == {"LoRA": reason}


def test_a_cfg_scale_of_another_kind_of_model_becomes_no_guidance(tmp_path: Path) -> None:
    found = found_in(tmp_path, parameters=A1111)
    assert found.origin == "A1111 WebUI"
    assert found.values == {
        "prompt": "a cabin in the woods",
        "negative_prompt": "blurry,\nNegative prompt: text",
        "steps": 25,
        "seed": 777,
        "width": 512,
        "height": 768,
    }
    assert reasons(found)["CFG scale"] == "other_guidance"
    assert {"Clip skip", "Hires upscale", "Denoising strength"} <= reasons(found).keys()


@pytest.mark.parametrize(
    ("settings", "name", "allowed"),
    [
        ("Steps: 0, Seed: 1, Size: 512x512", "Steps", "at least 1"),
        ("Steps: 4.5, Seed: 1, Size: 512x512", "Steps", "a whole number"),
        ("Steps: 4, Seed: -1, Size: 512x512", "Seed", "at least 0"),
        ("Steps: 4, Seed: 99999999999, Size: 512x512", "Seed", "at most 4"),
        ("Steps: 4, Seed: one, Size: 512x512", "Seed", "a whole number"),
        ("Steps: 4, Seed: 1, Size: 500x512", "Size", "a multiple of 16"),
        ("Steps: 4, Seed: 1, Size: 512x8192", "Size", "at most 4096"),
        ("Steps: 4, Seed: 1, CFG scale: 0.5, Distilled CFG Scale: 3", "CFG scale", "at least 1"),
        ("Steps: 4, Seed: 1, CFG scale: 1, Distilled CFG Scale: 1e400", "Distilled CFG Scale", "a number"),
    ],
)
def test_a_value_outside_what_is_allowed_is_left_alone(settings: str, name: str, allowed: str, tmp_path: Path) -> None:
    found = found_in(tmp_path, parameters=f"x\n{settings}")
    (unused,) = (unused for unused in found.unused if unused.allowed)
    assert (unused.name, unused.reason) == (name, "not_allowed")
    assert unused.allowed.startswith(allowed)
    fields = {"Size": {"width", "height"}, "CFG scale": {"cfg_scale"}, "Distilled CFG Scale": {"guidance"}}
    assert not fields.get(name, {name.lower()}) & found.values.keys()


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("\nNegative prompt: b\n", "", "b"),
        ("Negative prompt: b\n", "", "b"),
        ("", "", ""),
        ("a Negative prompt: of old\n", "a Negative prompt: of old", ""),
        ("a\r\nb\r\n", "a\nb", ""),
        ("a\nSteps: 99, Seed: 9, Size: 64x64\n", "a\nSteps: 99, Seed: 9, Size: 64x64", ""),
        ("猫\nNegative prompt:模糊\n文字\n", "猫", "模糊\n文字"),
        ('"quoted", a: b, {c}\n', '"quoted", a: b, {c}', ""),
    ],
)
def test_prompts_are_taken_apart_as_webuis_do(text: str, prompt: str, negative: str, tmp_path: Path) -> None:
    end = "\r\n" if "\r\n" in text else ""
    found = found_in(tmp_path, parameters=f"{text}Steps: 4, Seed: 1, Size: 64x64{end}")
    assert (found.values["prompt"], found.values["negative_prompt"]) == (prompt, negative)
    assert (found.values["steps"], found.values["seed"]) == (4, 1)


def test_values_with_commas_colons_quotes_and_json_do_not_break_the_line(tmp_path: Path) -> None:
    line = (
        r'Steps: 4, Note: "a, \"b\": c\nd", Civitai resources: [{"type":"lora","Seed":"5, Seed: 6"}], '
        "Odd: one, two, Time: 10:11:12, Seed: 7, Broken: [1, 2, Size: 64x128"
    )
    found = found_in(tmp_path, parameters=f"x\n{line}")
    assert (found.values["seed"], found.values["width"], found.values["height"]) == (7, 64, 128)
    assert {unused.name: unused.value for unused in found.unused} == {
        "Note": 'a, "b": c\N{REPLACEMENT CHARACTER}d',
        "Civitai resources": '[{"type":"lora","Seed":"5, Seed: 6"}]',
        "Odd": "one",
        "Time": "10:11:12",
        "Broken": "[1",
    }


@pytest.mark.parametrize(
    "text", ["a cat", "a cat\nSteps: 20", "Steps: to the sea, a: b, c: d", "{}", "[1]", '{"a": 1}']
)
def test_a_text_that_says_nothing_of_the_making_is_none(text: str, tmp_path: Path) -> None:
    assert read_parameters(write_png(tmp_path / "a.png", {"parameters": text})) is None


def test_invokeai_is_read_with_flux_and_without(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "app_version": "5.4.0",
        "generation_mode": "flux_txt2img",
        "positive_prompt": "a lake",
        "negative_prompt": None,
        "width": 1360,
        "height": 768,
        "seed": 3,
        "steps": 30,
        "guidance": 4,
        "model": {"name": "FLUX Dev", "base": "flux"},
        "loras": [{"model": {"name": "film"}, "weight": 0.75}],
    }
    found = found_in(tmp_path, invokeai_metadata=json.dumps(content))
    assert (found.origin, found.values["guidance"], found.values["width"]) == ("InvokeAI", 4.0, 1360)
    assert reasons(found) == {}
    assert found.models == (FoundModel(name="FLUX Dev", said="model"),)
    assert found.loras == (FoundLora(name="film", weight=0.75),)
    del content["guidance"]
    found = found_in(tmp_path, invokeai_metadata=json.dumps(content | {"cfg_scale": 7.5}))
    assert reasons(found)["cfg_scale"] == "other_guidance"
    assert not {"guidance", "cfg_scale"} & found.values.keys()


def test_swarmui_is_read(tmp_path: Path) -> None:
    values = {"prompt": "a fox", "model": "Flux/flux1-dev", "seed": 2**40, "steps": 20, "cfgscale": 1}
    values |= {"loras": ["style/film", "ink"], "loraweights": ["0.6"]}
    values |= {"fluxguidancescale": 3.5, "width": 1024, "height": 768, "sampler": "euler", "swarm_version": "0.9.3"}
    found = found_in(tmp_path, parameters=json.dumps({"sui_image_params": values, "sui_extra_data": {}}))
    assert found.origin == "SwarmUI"
    assert found.values == {
        "prompt": "a fox",
        "negative_prompt": "",
        "steps": 20,
        "guidance": 3.5,
        "cfg_scale": 1.0,
        "width": 1024,
        "height": 768,
    }
    assert reasons(found) == {"seed": "not_allowed", "sampler": "not_supported"}
    assert found.models == (FoundModel(name="Flux/flux1-dev", said="model"),)
    assert found.loras == (FoundLora(name="style/film", weight=0.6), FoundLora(name="ink", weight=1.0))


def test_fooocus_is_read_and_its_guidance_is_not_ours(tmp_path: Path) -> None:
    values = {"prompt": "a fox", "negative_prompt": "", "steps": 30, "resolution": "(1152, 896)", "seed": "4711"}
    values |= {"guidance_scale": 4.0, "base_model": "juggernautXL", "styles": "['Sharp']", "version": "Fooocus v2.5.5"}
    values |= {"loras": [["film.safetensors", 0.5, "ab12"]]}
    found = found_in(tmp_path, parameters=json.dumps(values), fooocus_scheme="fooocus")
    assert found.loras == (FoundLora(name="film.safetensors", weight=0.5),)
    assert found.origin == "Fooocus"
    assert {name: found.values[name] for name in ("seed", "width", "height")} == {
        "seed": 4711,
        "width": 1152,
        "height": 896,
    }
    assert reasons(found) == {
        "guidance_scale": "other_guidance",
        "styles": "not_supported",
    }
    assert found.models == (FoundModel(name="juggernautXL", said="base_model"),)


def graph(**changes: Any) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "clip": ["30", 1]}},
        "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 768, "batch_size": 1}},
        "30": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "flux1-dev-fp8.safetensors"}},
        "31": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 42,
                "steps": 20,
                "cfg": 1,
                "sampler_name": "euler",
                "scheduler": "simple",
                "denoise": 1,
                "model": ["38", 0],
                "positive": ["35", 0],
                "negative": ["33", 0],
                "latent_image": ["27", 0],
            },
        },
        "33": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["30", 1]}},
        "35": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
        "38": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "film", "strength_model": 1}},
    }
    return nodes | changes


def test_a_simple_comfyui_graph_is_read(tmp_path: Path) -> None:
    found = found_in(tmp_path, prompt=json.dumps(graph()))
    assert found.origin == "ComfyUI"
    assert found.values == {
        "prompt": "a lighthouse",
        "negative_prompt": "blurry",
        "seed": 42,
        "steps": 20,
        "guidance": 3.5,
        "cfg_scale": 1.0,
        "width": 1024,
        "height": 768,
    }
    assert reasons(found) == {
        "sampler_name": "not_supported",
        "scheduler": "not_supported",
    }
    assert found.models == (FoundModel(name="flux1-dev-fp8.safetensors", said="ckpt_name"),)
    assert found.loras == (FoundLora(name="film", weight=1.0),)


def test_a_comfyui_graph_with_a_guider_is_read(tmp_path: Path) -> None:
    sampler = {"noise": ["25", 0], "guider": ["22", 0], "sigmas": ["17", 0], "latent_image": ["27", 0]}
    nodes = graph() | {
        "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 8, "denoise": 0.6}},
        "22": {"class_type": "BasicGuider", "inputs": {"conditioning": ["35", 0]}},
        "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
        "31": {"class_type": "SamplerCustomAdvanced", "inputs": sampler},
    }
    found = found_in(tmp_path, prompt=json.dumps(nodes))
    assert (found.values["seed"], found.values["steps"], found.values["guidance"]) == (7, 8, 3.5)
    assert not {"negative_prompt", "cfg_scale"} & found.values.keys()
    assert reasons(found)["denoise"] == "not_supported"


@pytest.mark.parametrize(
    ("changes", "unsaid"),
    [
        ({"6": {"class_type": "Wildcards", "inputs": {"text": "a"}}}, {"prompt"}),
        ({"6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0]}}}, {"prompt"}),
        ({"35": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["35", 0]}}}, {"prompt"}),
        ({"27": {"class_type": "VAEEncode", "inputs": {}}}, {"size"}),
        ({"99": {"class_type": "KSampler", "inputs": {}}}, {"samplers"}),
        ({"31": {"class_type": "KSampler", "inputs": {}}}, {"prompt", "seed", "steps", "size"}),
    ],
)
def test_what_a_graph_does_not_say_plainly_is_not_guessed(
    changes: dict[str, Any], unsaid: set[str], tmp_path: Path
) -> None:
    found = found_in(tmp_path, prompt=json.dumps(graph(**changes)))
    said = {"computed", "samplers", "no_sampler"}
    assert {name for name, reason in reasons(found).items() if reason in said} == unsaid
    assert not unsaid & found.values.keys()


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-8"])
def test_the_comment_of_a_jpeg_or_webp_is_read(format: str, encoding: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + FORGE.replace("harbour", "海港").encode(encoding)
    path = tmp_path / "a"
    Image.new("RGB", (8, 8)).save(path, format, exif=exif)
    found = read_parameters(path)
    assert found is not None
    assert found.values["prompt"] == "a 海港 at dawn,  boats\nsecond line"
    assert found.values["guidance"] == 3.5


def test_comfyui_is_read_from_a_webp(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(graph())
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    found = read_parameters(tmp_path / "a.webp")
    assert found is not None
    assert found.origin == "ComfyUI"
