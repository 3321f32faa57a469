"""What LoRA files say of themselves: read without a tensor, whatever made them, and whatever they are."""

import json
from pathlib import Path

import pytest

from darkroom.loras.about import read_about
from darkroom.loras.family import said_family
from tests.loras.files import DEMO_KOHYA, FLUX_DIFFUSERS, FLUX_KOHYA, INK, SDXL, A, B, Shapes, pair, write

QKV = "lora_unet_double_blocks_0_img_attn_qkv"


def test_the_demos_own_says_all_there_is_to_say() -> None:
    about = read_about(INK)
    assert (about.title, about.family, about.layout, about.rank) == ("Ink drawing", "Darkroom demo", "kohya", 8)
    assert (about.words, about.weight, about.problem) == (("ink drawing",), 1.0, None)
    assert about.bytes == INK.stat().st_size
    assert about.picture is not None


FAMILIES: dict[str, tuple[Shapes, dict[str, str], str, str]] = {
    "kohya": (FLUX_KOHYA, {}, "FLUX.1", "kohya"),
    "diffusers": (FLUX_DIFFUSERS, {}, "FLUX.1", "diffusers"),
    "AI-toolkit": (FLUX_DIFFUSERS | {"transformer.single_transformer_blocks.3.proj_mlp.alpha": ()}, {}, "FLUX.1",
                   "AI-toolkit"),
    "ComfyUI": (pair("diffusion_model.single_blocks.0.linear2", 15360, 3072, sides=(A, B)), {}, "FLUX.1", "ComfyUI"),
    "SDXL": (SDXL, {}, "SDXL", "kohya"),
    "SDXL of diffusers": (
        pair("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 2048, 640, sides=(A, B)), {}, "SDXL",
        ""),
    "SD 1.5": (pair("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, 320), {},
               "Stable Diffusion 1.5", "kohya"),
    "SDXL by its word": (pair("lora_unet_middle_block_1_proj_in", 1280, 1280),
                         {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL", "kohya"),
    "FLUX.2": (pair("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 6144, 55296, sides=(A, B)), {},
               "FLUX.2", "diffusers"),
    "FLUX.2 in its makers' names": (pair("diffusion_model.double_blocks.0.img_attn.qkv", 6144, 18432, sides=(A, B)),
                                    {}, "FLUX.2", "ComfyUI"),
    "SD 3": (pair("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536, 4608), {}, "Stable Diffusion 3", "kohya"),
    "Qwen-Image": (pair("transformer.transformer_blocks.0.img_mlp.net.0.proj", 3072, 12288, sides=(A, B)), {},
                   "Qwen-Image", "diffusers"),
    "Wan": (pair("diffusion_model.blocks.0.self_attn.q", 5120, 5120, sides=(A, B)), {}, "Wan 2", "ComfyUI"),
    "Chroma": (pair("lora_unet_distilled_guidance_layer_in_proj", 64, 5120) | FLUX_KOHYA, {}, "Chroma", "kohya"),
    "HunyuanVideo": (pair("lora_unet_double_blocks_19_img_attn_qkv", 3072, 9216),
                     {"modelspec.architecture": "hunyuan-video/lora"}, "HunyuanVideo", "kohya"),
    "of no model anyone knows": (pair("lora_unet_something_0_else", 7, 9), {}, "", "kohya"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAMILIES)
def test_layers_and_their_sizes_say_what_a_lora_is_for(case: str, tmp_path: Path) -> None:
    shapes, metadata, family, layout = FAMILIES[case]
    about = read_about(write(tmp_path / "a.safetensors", shapes, metadata))
    assert (about.family, about.layout) == (family, layout)
    reason = about.problem.reason if about.problem else None
    assert reason == (None if family == "FLUX.1" else "other_family" if family else "other_model")
    if family not in ("", "FLUX.1"):
        assert family in str(about.problem)


def test_a_file_that_calls_itself_flux_and_is_not_is_of_another_model(tmp_path: Path) -> None:
    about = read_about(write(tmp_path / "a.safetensors", SDXL, {"ss_base_model_version": "flux1"}))
    assert about.family == "SDXL"
    strange = pair(QKV, 3072, 9217)
    about = read_about(write(tmp_path / "b.safetensors", strange, {"ss_base_model_version": "flux1"}))
    assert (about.family, about.problem and about.problem.reason) == ("", "other_model")


@pytest.mark.parametrize(
    ("shapes", "reason", "what"),
    [
        ({f"{QKV}.lokr_w1": (4, 4)}, "kind", "LoKr"),
        ({f"{QKV}.hada_w1_a": (4, 4)}, "kind", "LoHa"),
        (DEMO_KOHYA | {f"{QKV}.dora_scale": (768,)}, "kind", "DoRA"),
        (DEMO_KOHYA | {f"{QKV}.diff_b": (768,)}, "layout", ""),
        ({f"{QKV}.lora_down.weight": (4, 256)}, "damaged", ""),
        ({"model.diffusion_model.img_in.weight": (8, 8)}, "none", ""),
        ({}, "none", ""),
    ],
    ids=["LoKr", "LoHa", "DoRA", "a bias too", "half", "a model", "nothing"],
)
def test_what_cannot_be_used_says_why(shapes: Shapes, reason: str, what: str, tmp_path: Path) -> None:
    problem = read_about(write(tmp_path / "a.safetensors", shapes)).problem
    assert problem is not None
    assert (problem.reason, problem.what, problem.file) == (reason, what, "a.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"cut", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}", b"PK\x03\x04" + b"\0" * 99, b"<html>" * 20],
)
def test_no_file_does_anything_but_be_damaged(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    about = read_about(path)
    assert about.problem is not None
    assert about.problem.reason == "damaged"
    assert about.bytes == len(content)
    assert read_about(tmp_path / "gone.safetensors").problem is not None
    assert read_about(tmp_path).problem is not None


FREQUENCIES = {"10_wc": {"watercolour": 40, " soft edges": 30, "a cat": 3}, "2_more": {"watercolour": 10, "rain": 2}}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"modelspec.trigger_phrase": "  in the style\nof ohwx "}, ("in the style of ohwx",)),
        ({"ss_tag_frequency": json.dumps(FREQUENCIES)}, ("watercolour", "soft edges")),
        ({"ss_tag_frequency": json.dumps({"1_ohwx": {"ohwx": 1}})}, ("ohwx",)),
        ({"ss_tag_frequency": json.dumps({"1": {"a man walks": 1, "a dog runs": 1, "snow falls": 1}})}, ()),
        ({"modelspec.trigger_phrase": "wc", "ss_tag_frequency": json.dumps(FREQUENCIES)}, ("wc",)),
        ({"modelspec.trigger_phrase": "a <lora:x:1> b"}, ()),
        ({"modelspec.trigger_phrase": "w" * 500}, ()),
        ({"modelspec.trigger_phrase": ", ".join(f"word {n} of many words" for n in range(9))},
         tuple(f"word {n} of many words" for n in range(6))),
        ({"ss_tag_frequency": "[" * 100_000}, ()),
        ({"ss_tag_frequency": '{"a": 3, "b": {"c": "many"}}'}, ()),
    ],
)  # fmt: skip
def test_words_that_wake_it_are_found(metadata: dict[str, str], words: tuple[str, ...], tmp_path: Path) -> None:
    assert read_about(write(tmp_path / "a.safetensors", DEMO_KOHYA, metadata)).words == words


def test_what_other_tools_keep_beside_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.v2.safetensors", DEMO_KOHYA, {"ss_output_name": "a_v2"})
    assert read_about(path).title == "a_v2"
    (tmp_path / "a.v2.json").write_text('{"activation text": "ohwx", "preferred weight": 0.65}', encoding="utf-8")
    civitai = {"model": {"name": "Watercolour"}, "trainedWords": ["wet on wet, ohwx"]}
    (tmp_path / "a.v2.civitai.info").write_text(json.dumps(civitai), encoding="utf-8")
    (tmp_path / "a.v2.preview.png").write_bytes(b"")
    about = read_about(path)
    assert (about.title, about.weight, about.picture) == ("Watercolour", 0.65, tmp_path / "a.v2.preview.png")
    assert about.words == ("ohwx", "wet on wet, ohwx")
    for odd in ("[]", "{", '{"preferred weight": 9, "activation text": 3, "model": [], "trainedWords": {}}'):
        (tmp_path / "a.v2.civitai.info").unlink(missing_ok=True)
        (tmp_path / "a.v2.json").write_text(odd, encoding="utf-8")
        assert (read_about(path).weight, read_about(path).words) == (1.0, ())


@pytest.mark.parametrize(
    ("said", "family"),
    [("flux1", "FLUX.1"), ("flux2_dev", "FLUX.2"), ("sd_1.5", "Stable Diffusion 1.5"), ("sd3m", "Stable Diffusion 3"),
     ("stable-diffusion-xl-v1-base/lora", "SDXL"), ("", ""), ("sd_v2", "Stable Diffusion 2")],
)  # fmt: skip
def test_a_files_own_word_is_understood(said: str, family: str) -> None:
    assert said_family({"ss_base_model_version": said}) == family
