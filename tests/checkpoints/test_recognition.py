"""Each layout of FLUX.1 at its true shapes is recognised by its tensors; what is something else is called so."""

import hashlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import convert_keys_dict_to_single_str

from darkroom.architecture import DEMO, FLUX1
from darkroom.catalog import FLUX1_DEV
from darkroom.checkpoints import Layout, recognise
from darkroom.checkpoints.parts import PartName
from darkroom.engine.loading import SCHNELL as SCHNELL_ENTRY
from darkroom.errors import ModelUnusable
from darkroom.machine import Card, Machine
from darkroom.planner import make_plan
from darkroom.wishes import Wishes
from tests.checkpoints.sparse import Fields, sparse
from tests.checkpoints.true_shapes import SCHNELL, all_in_one, below, diffusers, native, scaled

MODELS = Path(__file__).parents[2] / "models"
GIB = 2**30


def listed_as(fields: Fields) -> set[str]:
    """What DiffSynth, which saw the true files, calls a file with these names and shapes."""
    names = convert_keys_dict_to_single_str({name: list(shape) for name, (_, shape) in fields.items()})
    found = hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()
    return {entry["model_name"] for entry in (*MODEL_CONFIGS, SCHNELL_ENTRY) if entry["model_hash"] == found}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (native("transformer"), "flux_dit"),
        (native("transformer", SCHNELL), "flux_dit"),
        (diffusers("transformer"), "flux_dit"),
        (native("text_encoder_1"), "flux_text_encoder_clip"),
        (native("text_encoder_2"), "flux_text_encoder_t5"),
        (native("vae"), "flux_vae_encoder"),
        (native("vae"), "flux_vae_decoder"),
    ],
)
def test_the_names_and_shapes_are_those_of_the_true_files(fields: Fields, name: str) -> None:
    assert name in listed_as(fields)


LAYOUTS: dict[str, tuple[Fields, Layout, str, bool]] = {
    "native, bf16": (native(), "native", "BF16", False),
    "native, fp16": (native(dtype="F16"), "native", "F16", False),
    "native, fp32": (native(dtype="F32"), "native", "F32", False),
    "native, float8": (native(dtype="F8_E4M3"), "native", "F8_E4M3", False),
    "native, float8 of the other kind": (native(dtype="F8_E5M2"), "native", "F8_E5M2", False),
    "native, scaled float8": (scaled(native()), "native", "F8_E4M3", True),
    "native, scaled float8 of today": (scaled(native(), suffix=".weight_scale"), "native", "F8_E4M3", True),
    "below a prefix": (below("model.diffusion_model.", native()), "prefixed", "BF16", False),
    "below a prefix, scaled": (scaled(below("model.diffusion_model.", native())), "prefixed", "F8_E4M3", True),
    "diffusers": (diffusers(), "diffusers", "BF16", False),
    "diffusers, float8": (diffusers(dtype="F8_E4M3"), "diffusers", "F8_E4M3", False),
    "diffusers below a prefix": (below("transformer.", diffusers()), "diffusers", "BF16", False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transformer_is_recognised_in_every_layout(layout: str, tmp_path: Path) -> None:
    fields, name, dtype, has_scales = LAYOUTS[layout]
    found = recognise(sparse(tmp_path / "anything.safetensors", fields))
    (part,) = found.parts
    assert (part.name, found.layout, part.dtype, part.scaled) == ("transformer", name, dtype, has_scales)
    assert (found.family, found.architecture, found.dtypes) == ("flux1-dev", FLUX1, (dtype,))
    assert part.files[0].stat().st_size > found.bytes >= part.bytes


@pytest.mark.parametrize("fields", [native("transformer", SCHNELL), diffusers("transformer", SCHNELL)])
def test_without_a_guidance_embedder_it_is_like_schnell(fields: Fields, tmp_path: Path) -> None:
    found = recognise(sparse(tmp_path / "dev.safetensors", fields))
    assert (found.family, found.architecture) == ("flux1-schnell", SCHNELL)


@pytest.mark.parametrize("part", ["text_encoder_1", "text_encoder_2", "vae"])
def test_a_part_by_itself_is_called_by_its_name(part: PartName, tmp_path: Path) -> None:
    found = recognise(sparse(tmp_path / "model.safetensors", native(part)))
    assert (found.part_names, found.family, found.layout) == ((part,), "flux1", "native")


def test_the_vae_is_known_as_diffusers_writes_it_too(tmp_path: Path) -> None:
    found = recognise(sparse(tmp_path / "vae.safetensors", diffusers("vae")))
    assert (found.part_names, found.layout) == (("vae",), "diffusers")


def test_text_encoders_are_known_with_what_tools_leave_in_their_files(tmp_path: Path) -> None:
    clip = {
        **native("text_encoder_1"),
        "text_model.embeddings.position_ids": ("I64", (1, 77)),
        "text_projection.weight": ("F16", (768, 768)),
        "logit_scale": ("F32", ()),
        "vision_model.embeddings.class_embedding": ("F16", (1024,)),
    }
    assert recognise(sparse(tmp_path / "clip.safetensors", clip)).part_names == ("text_encoder_1",)
    t5 = dict(scaled(native("text_encoder_2")))
    t5["encoder.embed_tokens.weight"] = t5["shared.weight"]
    assert recognise(sparse(tmp_path / "t5.safetensors", t5)).part_names == ("text_encoder_2",)
    del t5["shared.weight"], t5["shared.scale_weight"]
    assert recognise(sparse(tmp_path / "other.safetensors", t5)).part_names == ("text_encoder_2",)


def test_an_all_in_one_file_has_all_four_parts(tmp_path: Path) -> None:
    found = recognise(sparse(tmp_path / "all.safetensors", all_in_one()))
    assert found.part_names == ("transformer", "text_encoder_1", "text_encoder_2", "vae")
    assert (found.layout, found.family, found.dtypes) == ("all_in_one", "flux1-dev", ("F8_E4M3", "F32", "F16"))
    assert found.architecture == FLUX1
    schnell = recognise(sparse(tmp_path / "schnell.safetensors", all_in_one(SCHNELL)))
    assert (schnell.family, schnell.architecture) == ("flux1-schnell", SCHNELL)


def test_the_architecture_says_whether_the_small_text_encoder_is_float8(tmp_path: Path) -> None:
    path = sparse(tmp_path / "clip.safetensors", scaled(native("text_encoder_1")))
    found = recognise(path).architecture
    assert found is not None
    assert found.clip.float8
    assert replace(found, clip=replace(found.clip, float8=False)) == FLUX1
    assert recognise(path).fits(FLUX1)
    assert not recognise(path).fits(DEMO)


@pytest.mark.parametrize("card", [None, 6, 12, 24])
@pytest.mark.parametrize("fields", [native(), native("transformer", SCHNELL), all_in_one(SCHNELL)])
def test_what_was_recognised_can_be_planned_for(fields: Fields, card: int | None, tmp_path: Path) -> None:
    found = recognise(sparse(tmp_path / "model.safetensors", fields)).architecture
    assert found is not None
    machine = Machine(
        card=Card(name="card", total=card * GIB, free=card * GIB - GIB, compute=(8, 9), copy_rate=20e9)
        if card
        else None,
        ram_total=64 * GIB,
        ram_free=48 * GIB,
        pinnable=32 * GIB,
        cores=8,
    )
    plan = make_plan(replace(FLUX1_DEV, architecture=found), machine, Wishes(), width=1024, height=1024)
    dev = make_plan(FLUX1_DEV, machine, Wishes(), width=1024, height=1024)
    # Schnell has one embedder less.
    assert 0 <= dev.promised_ram - plan.promised_ram < 64 << 20


OTHERS: dict[str, tuple[Fields, str, str]] = {
    "SDXL": (
        {
            "model.diffusion_model.input_blocks.0.0.weight": ("F16", (320, 4, 3, 3)),
            "model.diffusion_model.label_emb.0.0.weight": ("F16", (1280, 2816)),
            **below("conditioner.embedders.0.transformer.", native("text_encoder_1", dtype="F16")),
        },
        "family",
        "Stable Diffusion XL",
    ),
    "SDXL's U-Net": (
        {
            "down_blocks.0.resnets.0.conv1.weight": ("F16", (320, 320, 3, 3)),
            "down_blocks.1.attentions.0.proj_in.weight": ("F16", (640, 640)),
            "add_embedding.linear_1.weight": ("F16", (1280, 2816)),
        },
        "family",
        "Stable Diffusion XL",
    ),
    "SD 1.5": (
        {
            "model.diffusion_model.input_blocks.0.0.weight": ("F16", (320, 4, 3, 3)),
            **below("cond_stage_model.transformer.", native("text_encoder_1", dtype="F16")),
            "first_stage_model.encoder.down.0.block.0.conv1.weight": ("F16", (128, 128, 3, 3)),
        },
        "family",
        "Stable Diffusion 1",
    ),
    "SD3 with its text encoders": (
        {
            "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": ("F16", (4608, 1536)),
            **below("text_encoders.clip_l.transformer.", native("text_encoder_1", dtype="F16")),
            **below("text_encoders.t5xxl.transformer.", native("text_encoder_2", dtype="F16")),
        },
        "family",
        "Stable Diffusion 3",
    ),
    "FLUX.2": (
        {
            "double_stream_modulation_img.lin.weight": ("BF16", (36864, 6144)),
            "double_blocks.0.img_attn.qkv.weight": ("BF16", (18432, 6144)),
            "single_blocks.0.linear1.weight": ("BF16", (55296, 6144)),
        },
        "family",
        "FLUX.2",
    ),
    "FLUX.2 of diffusers": (
        {
            "double_stream_modulation_img.linear.weight": ("BF16", (36864, 6144)),
            "transformer_blocks.0.attn.add_q_proj.weight": ("BF16", (6144, 6144)),
            "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight": ("BF16", (55296, 6144)),
        },
        "family",
        "FLUX.2",
    ),
    "Qwen-Image": (
        {
            "transformer_blocks.0.img_mod.1.weight": ("BF16", (18432, 3072)),
            "transformer_blocks.0.attn.add_q_proj.weight": ("BF16", (3072, 3072)),
            "txt_norm.weight": ("BF16", (3584,)),
        },
        "family",
        "Qwen-Image",
    ),
    "Chroma": (
        {
            "distilled_guidance_layer.in_proj.weight": ("BF16", (5120, 64)),
            "double_blocks.0.img_attn.qkv.weight": ("BF16", (9216, 3072)),
        },
        "family",
        "Chroma",
    ),
    "a ControlNet": (
        {"controlnet_x_embedder.weight": ("BF16", (3072, 64)), **diffusers()},
        "family",
        "ControlNet",
    ),
    "FLUX.1 Fill": (
        {**native(), "img_in.weight": ("BF16", (3072, 384))},
        "family",
        "FLUX.1 Fill",
    ),
    "FLUX.1 Depth": (
        {**native(), "img_in.weight": ("BF16", (3072, 128))},
        "family",
        "FLUX.1 Canny, Depth",
    ),
    "FLUX.1 with fewer blocks": (
        native("transformer", replace(FLUX1, joint_blocks=8)),
        "incomplete",
        "FLUX.1",
    ),
    "FLUX.1 with one block more": (
        native("transformer", replace(FLUX1, joint_blocks=20)),
        "incomplete",
        "FLUX.1",
    ),
    "FLUX.1 without its last layer": (
        {name: field for name, field in native().items() if name != "final_layer.linear.weight"},
        "incomplete",
        "FLUX.1",
    ),
    "half of T5": (
        dict(list(native("text_encoder_2").items())[:100]),
        "incomplete",
        "T5",
    ),
    "NF4": (
        {
            **{name: ("U8" if name.endswith(".weight") else dtype, shape) for name, (dtype, shape) in native().items()},
            "double_blocks.0.img_attn.qkv.weight.absmax": ("F32", (442368,)),
            "double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__nf4": ("U8", (82,)),
        },
        "packed",
        "NF4 (bitsandbytes)",
    ),
    "Nunchaku": (
        {
            "transformer_blocks.0.attn.add_q_proj.qweight": ("I8", (9216, 1536)),
            "single_transformer_blocks.0.mlp_fc1.qweight": ("I8", (12288, 1536)),
        },
        "packed",
        "SVDQuant (Nunchaku)",
    ),
    "int8": (native(dtype="I8"), "packed", "I8"),
    "nothing": ({}, "unknown", ""),
    "no model": ({"strange": ("F32", (1,))}, "unknown", ""),
    "a FLUX.1 without numbers": (
        {name: (dtype, (0,) * len(shape)) for name, (dtype, shape) in native().items()},
        "incomplete",
        "FLUX.1",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_something_else_is_refused_as_what_it_is(kind: str, tmp_path: Path) -> None:
    fields, reason, name = OTHERS[kind]
    with pytest.raises(ModelUnusable) as raised:
        recognise(sparse(tmp_path / "flux1-dev.safetensors", fields))
    assert (raised.value.reason, raised.value.found) == (reason, name)
    assert "flux1-dev.safetensors" in str(raised.value)
    assert name in str(raised.value)


def test_what_the_engine_made_for_itself_is_not_taken_for_a_model(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.safetensors", {"blocks.0.x.weight": ("F8_E4M3", (8,))}, {"darkroom_float8": "2"})
    with pytest.raises(ModelUnusable) as raised:
        recognise(path)
    assert raised.value.reason == "converted"


def test_a_lora_is_called_a_lora() -> None:
    found = recognise(MODELS / "demo" / "loras" / "ink.safetensors")
    assert (found.is_lora, found.parts, found.family, found.architecture) == (True, (), None, None)


def test_the_demo_is_recognised_like_any_other(tmp_path: Path) -> None:
    shutil.copy(MODELS / "demo" / "transformer.safetensors", tmp_path / "from the web (1).safetensors")
    found = recognise(tmp_path / "from the web (1).safetensors")
    assert (found.architecture, found.family, found.parts[0].scaled) == (DEMO, "flux1-dev", True)


def test_a_files_own_title_is_kept(tmp_path: Path) -> None:
    metadata = {"modelspec.title": " My\nmodel "}
    assert (
        recognise(sparse(tmp_path / "a.safetensors", native("vae"), metadata)).title
        == "My\N{REPLACEMENT CHARACTER}model"
    )
    assert recognise(sparse(tmp_path / "b.safetensors", native("vae"))).title is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what was read")
def test_a_large_file_is_recognised_by_reading_little_of_it(tmp_path: Path) -> None:
    path = sparse(tmp_path / "all.safetensors", all_in_one(FLUX1, "F32"))
    before = psutil.Process().io_counters().read_chars
    recognise(path)
    assert path.stat().st_size > 40 * GIB
    assert psutil.Process().io_counters().read_chars - before < 16 << 20
