"""Every layout of FLUX.1's weights, made of the demo's, gives the model that the native file gives, and its picture."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffsynth.utils.state_dict_converters import flux_dit, flux_vae
from torch import Tensor, nn

from darkroom.catalog import DEMO, ModelEntry
from darkroom.checkpoints import recognise
from darkroom.engine import demo
from darkroom.engine.conversion import SUFFIX, find_weights
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.loading import load_models
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable
from darkroom.request import parse_request
from tests.checkpoints.sparse import sparse
from tests.checkpoints.true_shapes import native
from tests.engine.layouts import (
    MODELS,
    SCALE,
    Tensors,
    all_in_one,
    below,
    comfy_scaled,
    diffusers_transformer,
    diffusers_vae,
    entry,
    entry_of_one,
    renamed_scales,
    save,
    save_pipeline,
    save_shards,
    shipped,
    wide,
    without_guidance,
)
from tests.engine.plans import streaming_plan

CPU = torch.device("cpu")
PARTS = ("transformer", "text_encoder_1", "text_encoder_2", "vae")
REQUEST = parse_request(
    {"prompt": "a red house", "seed": 1, "steps": 2, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
)


@pytest.fixture(autouse=True)
def _demo_is_known() -> None:
    demo.register()


def load(path: Path, *, dtype: torch.dtype = torch.bfloat16, **options: object) -> dict[str, nn.Module]:
    return load_models(path, dtype=dtype, read=lambda _: None, **options)  # type: ignore[arg-type]


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(same_bits(mine[name], theirs[name]) for name in mine)


def same_bits(one: Tensor, other: Tensor) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def picture(model: ModelEntry, *, plan: bool = False, **changes: object) -> bytes:
    pipeline = load_pipeline(model, MODELS, CPU, Watcher())
    memory = streaming_plan(number_bytes=pipeline.torch_dtype.itemsize) if plan else None
    return make_picture(pipeline, REQUEST.model_copy(update=changes), Watcher(), memory).pixels


@pytest.fixture(scope="module")
def native_wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("native") / "wide.safetensors", wide("transformer"))


@pytest.fixture(scope="module")
def native_picture() -> bytes:
    return picture(DEMO)


@pytest.fixture(scope="module")
def native_wide_picture(native_wide: Path) -> bytes:
    return picture(entry(transformer=native_wide))


# From the folder and the weights, bf16 and shipped (scaled float8), to what is to be loaded.
WIDE: Mapping[str, Callable[[Path], Path]] = {
    "below a prefix": lambda to: save(to / "a.safetensors", below("model.diffusion_model.", wide("transformer"))),
    "diffusers": lambda to: save(to / "a.safetensors", diffusers_transformer(wide("transformer"))),
    "shards": lambda to: save_shards(to / "native", wide("transformer"), 4, "flux"),
    "shards of diffusers": lambda to: save_shards(to / "transformer", diffusers_transformer(wide("transformer")), 3),
}
SCALED: Mapping[str, Callable[[Path], Path]] = {
    "with ComfyUI's marks": lambda to: save(to / "a.safetensors", comfy_scaled(shipped("transformer"))),
    "with today's marks": lambda to: save(to / "a.safetensors", renamed_scales(shipped("transformer"))),
    "below a prefix": lambda to: save(to / "a.safetensors", below("model.diffusion_model.", shipped("transformer"))),
    "diffusers": lambda to: save(to / "a.safetensors", diffusers_transformer(shipped("transformer"))),
    "shards": lambda to: save_shards(to / "native", shipped("transformer"), 2, "flux"),
}


@pytest.mark.parametrize("layout", WIDE)
def test_a_bf16_transformer_gives_the_native_files_model_and_picture(
    layout: str, native_wide: Path, native_wide_picture: bytes, tmp_path: Path
) -> None:
    path = WIDE[layout](tmp_path)
    assert same(load(path)["flux_dit"], load(native_wide)["flux_dit"])
    assert picture(entry(transformer=path)) == native_wide_picture


@pytest.mark.parametrize("layout", SCALED)
def test_a_scaled_float8_transformer_keeps_its_values_and_gives_the_native_files_picture(
    layout: str, native_picture: bytes, tmp_path: Path
) -> None:
    path = SCALED[layout](tmp_path)
    assert same(load(path)["flux_dit"], load(MODELS / DEMO.files.transformer)["flux_dit"])
    assert picture(entry(transformer=path)) == native_picture


@pytest.mark.parametrize("layout", ["diffusers", "shards of diffusers"])
def test_what_is_converted_of_another_layout_is_the_same_model(layout: str, native_wide: Path, tmp_path: Path) -> None:
    path = WIDE[layout](tmp_path / "models")
    (model,) = find_weights(path, dtype=torch.bfloat16, part="transformer").load(read=lambda _: None).values()
    assert same(model, load(native_wide)["flux_dit"])
    again = find_weights(path, dtype=torch.bfloat16, part="transformer")
    assert again.converted is not None
    (same_again,) = again.load(read=lambda _: None).values()
    assert same(same_again, model)
    # What was made lies beside the source, and is not taken for a part of it.
    assert load(path).keys() == {"flux_dit"}


@pytest.mark.parametrize("kind", ["scaled", "wide"])
def test_an_all_in_one_file_gives_every_part_and_the_native_files_picture(
    kind: str, native_picture: bytes, tmp_path: Path
) -> None:
    tensors = {part: shipped(part) if kind == "scaled" else wide(part) for part in PARTS}
    path = save(tmp_path / "all.safetensors", all_in_one(tensors))
    assert recognise(path).layout == "all_in_one"
    apart = {part: save(tmp_path / f"{part}.safetensors", tensors[part]) for part in PARTS}
    expected = native_picture if kind == "scaled" else picture(entry(**apart))
    assert picture(entry_of_one(path)) == expected


def test_the_parts_of_an_all_in_one_file_are_converted_apart(tmp_path: Path) -> None:
    path = save(tmp_path / "all.safetensors", all_in_one({part: wide(part) for part in PARTS}))
    told: dict[str, int] = {}
    for part in PARTS:
        weights = find_weights(path, dtype=torch.bfloat16, part=part)  # type: ignore[arg-type]
        counts: list[int] = []
        weights.load(read=counts.append)
        told[part] = sum(counts)
        assert told[part] == weights.bytes == sum(tensor.nbytes for tensor in wide(part).values())
    assert {file.name for file in tmp_path.iterdir()} == {
        "all.safetensors",
        f"all.transformer{SUFFIX}",
        f"all.text_encoder_2{SUFFIX}",
    }
    for part in ("transformer", "text_encoder_2"):
        (model,) = find_weights(path, dtype=torch.bfloat16, part=part).load(read=lambda _: None).values()  # type: ignore[arg-type]
        assert same(model, *load(path, part=part).values())


@pytest.mark.parametrize("kind", ["scaled", "wide"])
def test_a_pipelines_folder_gives_the_native_files_picture(kind: str, native_picture: bytes, tmp_path: Path) -> None:
    tensors = {part: shipped(part) if kind == "scaled" else wide(part) for part in PARTS}
    folder = save_pipeline(tmp_path / "FLUX", tensors)
    assert recognise(folder).layout == "pipeline"
    apart = {part: save(tmp_path / f"{part}.safetensors", tensors[part]) for part in PARTS}
    expected = native_picture if kind == "scaled" else picture(entry(**apart))
    assert picture(entry_of_one(folder)) == expected


def test_diffusers_pieces_lie_as_diffsynth_puts_them_together(tmp_path: Path) -> None:
    theirs = diffusers_transformer(wide("transformer", torch.float32))
    expected = flux_dit.FluxDiTStateDictConverterFromDiffusers(dict(theirs))
    model = load(save(tmp_path / "a.safetensors", theirs), dtype=torch.float32)["flux_dit"]
    found = model.state_dict()
    # DiffSynth turns the last modulation at FLUX.1's width only.
    plain = [name for name in expected if name in found and not name.startswith("final_norm_out.")]
    assert len(plain) > 100
    assert all(same_bits(found[name], expected[name].contiguous()) for name in plain)
    scale, shift = theirs["norm_out.linear.weight"].chunk(2)
    assert same_bits(found["final_norm_out.linear.weight"], torch.cat((shift, scale)))


def test_the_vae_of_diffusers_is_the_native_one(tmp_path: Path) -> None:
    native, theirs = load(MODELS / DEMO.files.vae), diffusers_vae(shipped("vae"))
    models = load(save(tmp_path / "vae.safetensors", theirs))
    assert models.keys() == native.keys()
    assert all(same(models[name], native[name]) for name in native)
    for name, convert in (
        ("flux_vae_encoder", flux_vae.FluxVAEEncoderStateDictConverterDiffusers),
        ("flux_vae_decoder", flux_vae.FluxVAEDecoderStateDictConverterDiffusers),
    ):
        expected, found = convert(theirs), native[name].state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[each].reshape(expected[each].shape), expected[each].bfloat16()) for each in found)


def test_text_encoders_load_with_what_tools_leave_in_their_files(tmp_path: Path) -> None:
    clip = shipped("text_encoder_1") | {
        "text_model.embeddings.position_ids": torch.arange(77)[None],
        "logit_scale": torch.ones(()),
        "vision_model.embeddings.class_embedding": torch.ones(8),
    }
    t5 = comfy_scaled(shipped("text_encoder_2"))
    t5["encoder.embed_tokens.weight"] = t5.pop("shared.weight")
    t5["spiece_model"] = torch.zeros(100, dtype=torch.uint8)
    for part, tensors in (("text_encoder_1", clip), ("text_encoder_2", t5)):
        (model,) = load(save(tmp_path / f"{part}.safetensors", tensors)).values()
        (native,) = load(MODELS / getattr(DEMO.files, part)).values()
        assert same(model, native)


def test_float8_of_the_other_kind_is_taken_over_as_it_is(tmp_path: Path) -> None:
    """Two of its digits go into three: nothing is lost but what is beyond the range of ours."""
    tensors = {name: tensor.to(torch.float8_e5m2) for name, tensor in wide("transformer").items()}
    path = save(tmp_path / "e5m2.safetensors", tensors)
    found = load(path)["flux_dit"].get_submodule("single_blocks.0.proj_out")
    exact = tensors["single_blocks.0.linear2.weight"].float()
    assert isinstance(found.stored, Tensor)
    assert isinstance(found.scale, Tensor)
    error = (found.stored.float() * found.scale - exact).norm() / exact.norm()
    assert error < 0.002


def test_one_scale_for_each_row_and_pieces_of_different_scales_are_multiplied_out_once(tmp_path: Path) -> None:
    """The only float8 that is quantised a second time, at the cost of its rounding: a layer has one scale here."""
    native = load(MODELS / DEMO.files.transformer)["flux_dit"]
    rows = shipped("transformer")
    name = "single_blocks.0.linear2"
    factors = 2.0 ** torch.arange(len(rows[f"{name}.weight"])).remainder(2)
    rows[f"{name}.weight"] = (rows[f"{name}.weight"].float() / factors[:, None]).to(torch.float8_e4m3fn)
    rows[name + SCALE] = rows[name + SCALE] * factors
    pieces = diffusers_transformer(shipped("transformer"))
    key = "single_transformer_blocks.0.attn.to_k"
    pieces[f"{key}.weight"] = (pieces[f"{key}.weight"].float() / 2).to(torch.float8_e4m3fn)
    pieces[key + SCALE] = pieces[key + SCALE] * 2
    for tensors, layer in ((rows, "proj_out"), (pieces, "to_qkv_mlp")):
        loaded = load(save(tmp_path / f"{layer}.safetensors", tensors))["flux_dit"]
        found, expected = (model.get_submodule(f"single_blocks.0.{layer}") for model in (loaded, native))
        values = [each.stored.float() * each.scale for each in (found, expected)]  # type: ignore[operator]
        assert (values[0] - values[1]).norm() / values[1].norm() < 1 / 16


@pytest.mark.parametrize("layout", ["native", "diffusers", "all in one"])
def test_schnell_runs_without_a_guidance_embedder_and_guidance_counts_for_nothing(layout: str, tmp_path: Path) -> None:
    tensors = without_guidance(shipped("transformer"))
    everything = {part: shipped(part) for part in PARTS} | {"transformer": tensors}
    files: dict[str, Callable[[], Tensors]] = {
        "native": lambda: tensors,
        "diffusers": lambda: diffusers_transformer(tensors),
        "all in one": lambda: all_in_one(everything),
    }
    path = save(tmp_path / "schnell.safetensors", files[layout]())
    found = recognise(path)
    assert found.family == "flux1-schnell"
    architecture = replace(DEMO.architecture, guidance=False)
    assert found.architecture == architecture
    assert load(path, part="transformer")["flux_dit"].guidance_embedder is None
    schnell = replace(entry(transformer=path), architecture=architecture)
    first = picture(schnell)
    assert first != picture(DEMO)
    assert picture(schnell, guidance=1.0) == first
    # Streamed through a ring, its modulation from a table or not.
    assert picture(schnell, plan=True) == first


def test_a_file_that_lacks_the_part_it_is_used_for_is_named() -> None:
    for part, file in (("transformer", DEMO.files.vae), ("vae", DEMO.files.transformer)):
        with pytest.raises(ModelUnusable) as raised:
            find_weights(MODELS / file, dtype=torch.bfloat16, part=part)  # type: ignore[arg-type]
        assert raised.value.reason == "part"
        assert raised.value.file == file.name


@pytest.mark.parametrize("part", PARTS)
def test_a_file_of_another_kind_than_its_entry_is_named_before_it_is_read(part: str, tmp_path: Path) -> None:
    fields = native(part)  # type: ignore[arg-type]
    large = sparse(tmp_path / f"{part}.safetensors", fields)
    with pytest.raises(ModelUnusable) as raised:
        load_pipeline(entry(**{part: large}), MODELS, CPU, Watcher())
    assert (raised.value.reason, raised.value.file) == ("other_kind", large.name)
    assert raised.value.found == ("FLUX.1 [dev]" if part == "transformer" else "FLUX.1")


def test_a_transformer_without_guidance_is_not_taken_for_one_with(tmp_path: Path) -> None:
    path = save(tmp_path / "schnell.safetensors", without_guidance(shipped("transformer")))
    with pytest.raises(ModelUnusable, match="without guidance, and the settings say otherwise"):
        load_pipeline(entry(transformer=path), MODELS, CPU, Watcher())


def test_without_asking_for_a_part_all_of_an_all_in_one_file_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path / "all.safetensors", all_in_one({part: shipped(part) for part in PARTS}))
    names = {"flux_dit", "flux_text_encoder_clip", "flux_text_encoder_t5", "flux_vae_encoder", "flux_vae_decoder"}
    assert load(path).keys() == names
