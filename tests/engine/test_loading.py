"""Files of weights to models, what it takes to read them, and what is refused."""

import ctypes
import gc
import json
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffsynth.configs import MODEL_CONFIGS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from darkroom.architecture import FLUX1
from darkroom.catalog import DEMO
from darkroom.checkpoints import recognition
from darkroom.checkpoints.parts import shapes_of
from darkroom.engine import demo
from darkroom.engine.float8 import STORED, Float8Linear
from darkroom.engine.loading import SCALE_SUFFIX, Checkpoint, load_models, model_hash, skeleton
from darkroom.errors import ModelUnusable
from tests.checkpoints.sparse import sparse
from tests.checkpoints.true_shapes import native

MODELS = Path(__file__).parents[2] / "models"
FILES = (DEMO.files.transformer, DEMO.files.text_encoder_1, DEMO.files.text_encoder_2, DEMO.files.vae)
MIB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def _demo_is_known() -> None:
    demo.register()


def load(*paths: Path, dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    return load_models(paths, dtype=dtype, read=lambda _: None)


def float8_layers(model: nn.Module) -> dict[str, Float8Linear]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, Float8Linear)}


def without_scales(path: Path) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in load_file(path).items() if not name.endswith(SCALE_SUFFIX)}


def unscaled(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The checkpoint as it would be had it never been float8."""
    tensors = load_file(path)
    wide = {
        name: tensor.float() * tensors.get(name.removesuffix(".weight") + SCALE_SUFFIX, torch.ones(()))
        for name, tensor in tensors.items()
        if not name.endswith(SCALE_SUFFIX)
    }
    return {name: tensor.to(dtype).contiguous() for name, tensor in wide.items()}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_shipped_file_is_recognised_by_its_tensors(file: Path) -> None:
    assert model_hash(without_scales(MODELS / file)) in {entry["model_hash"] for entry in demo.ENTRIES}


def test_the_transformer_keeps_its_float8_weights_and_every_one_has_a_scale() -> None:
    transformer = load(MODELS / DEMO.files.transformer)["flux_dit"]
    layers = float8_layers(transformer).values()
    stored = load_file(MODELS / DEMO.files.transformer)
    assert len(layers) == sum(name.endswith(SCALE_SUFFIX) for name in stored) > 50
    assert all(layer.stored.dtype == STORED and layer.scale != 1 for layer in layers)
    assert not any(tensor.is_meta for tensor in (*transformer.parameters(), *transformer.buffers()))


def test_one_vae_file_gives_encoder_and_decoder() -> None:
    assert set(load(MODELS / DEMO.files.vae)) == {"flux_vae_encoder", "flux_vae_decoder"}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_byte_that_is_read_is_told(file: Path) -> None:
    told: list[int] = []
    load_models(MODELS / file, dtype=torch.float32, read=told.append)
    assert sum(told) == sum(tensor.nbytes for tensor in load_file(MODELS / file).values())
    assert max(told) == max(tensor.nbytes for tensor in load_file(MODELS / file).values())


def test_a_missing_a_damaged_and_an_unknown_file_are_each_called_so(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes((MODELS / DEMO.files.vae).read_bytes()[:1000])
    (tmp_path / "short.safetensors").write_bytes((MODELS / DEMO.files.vae).read_bytes()[:-1000])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    save_file({"strange": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file({"strange": torch.zeros(1, dtype=torch.complex64)}, tmp_path / "type.safetensors")
    damaged = [(name, "damaged") for name in ("cut", "short", "empty", "folder")]
    for name, reason in (("none", "missing"), ("other", "unknown"), ("type", "unknown"), *damaged):
        with pytest.raises(ModelUnusable) as raised:
            load(tmp_path / f"{name}.safetensors")
        assert raised.value.reason == reason
        assert raised.value.file == f"{name}.safetensors"


def test_a_float8_file_without_scales_is_taken_as_a_plain_cast(tmp_path: Path) -> None:
    save_file(without_scales(MODELS / DEMO.files.transformer), tmp_path / "plain.safetensors")
    transformer = load(tmp_path / "plain.safetensors")["flux_dit"]
    assert all(layer.scale == 1 for layer in float8_layers(transformer).values())


def test_a_cast_of_the_whole_file_leaves_only_the_blocks_in_float8(tmp_path: Path) -> None:
    tensors = {name: tensor.to(STORED) for name, tensor in unscaled(MODELS / DEMO.files.transformer, STORED).items()}
    save_file(tensors, tmp_path / "cast.safetensors")
    transformer = load(tmp_path / "cast.safetensors", dtype=torch.bfloat16)["flux_dit"]
    layers = float8_layers(transformer)
    assert {name.split(".")[0] for name in layers} == {"blocks", "single_blocks"}
    kept = {name for name, tensor in transformer.state_dict().items() if tensor.dtype == STORED}
    assert kept == {f"{name}.stored" for name in layers}
    assert transformer.final_proj_out.weight.dtype == torch.bfloat16
    assert torch.equal(transformer.x_embedder.weight, tensors["img_in.weight"].bfloat16())


@pytest.mark.parametrize("file", [DEMO.files.transformer, DEMO.files.text_encoder_2], ids=str)
@pytest.mark.parametrize("source", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_checkpoint_in_any_type_becomes_scaled_float8_in_its_blocks(
    file: Path, source: torch.dtype, tmp_path: Path
) -> None:
    save_file(unscaled(MODELS / file, source), tmp_path / "wide.safetensors")
    (shipped,), (model,) = load(MODELS / file).values(), load(tmp_path / "wide.safetensors").values()
    layers = float8_layers(model)
    assert layers.keys() == float8_layers(shipped).keys()
    for name, layer in float8_layers(shipped).items():
        expected = layer.stored.float() * layer.scale
        error = (layers[name].stored.float() * layers[name].scale - expected).norm() / expected.norm()
        # Once more as float8, with a scale of its own: no rounding to it is off by more.
        assert error < 1 / 16, name
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32, name


def test_norms_embedders_and_the_last_projection_of_a_wide_checkpoint_stay_in_the_computation_type(
    tmp_path: Path,
) -> None:
    save_file(unscaled(MODELS / DEMO.files.transformer, torch.float32), tmp_path / "wide.safetensors")
    transformer = load(tmp_path / "wide.safetensors", dtype=torch.bfloat16)["flux_dit"]
    for name in ("x_embedder", "context_embedder", "final_norm_out.linear", "final_proj_out", "time_embedder"):
        assert not float8_layers(transformer.get_submodule(name)), name
    assert {parameter.dtype for parameter in transformer.parameters()} == {torch.bfloat16}
    assert {layer.bias.dtype for layer in float8_layers(transformer).values() if layer.bias is not None} == {
        torch.bfloat16
    }


@pytest.mark.parametrize("file", [DEMO.files.text_encoder_1, DEMO.files.vae], ids=str)
def test_clip_and_the_vae_of_a_wide_checkpoint_are_not_quantised(file: Path, tmp_path: Path) -> None:
    save_file(unscaled(MODELS / file, torch.bfloat16), tmp_path / "wide.safetensors")
    models = load(tmp_path / "wide.safetensors", dtype=torch.bfloat16)
    assert not any(float8_layers(model) for model in models.values())


def test_a_text_encoder_in_two_shards_is_the_same_model(tmp_path: Path) -> None:
    tensors = load_file(MODELS / DEMO.files.text_encoder_2)
    names = sorted(tensors)
    shards = (tmp_path / "model-00001-of-00002.safetensors", tmp_path / "model-00002-of-00002.safetensors")
    # Weights and their scales fall into different shards.
    for shard, part in zip(shards, (names[::2], names[1::2]), strict=True):
        save_file({name: tensors[name] for name in part}, shard)
    told: list[int] = []
    sharded = load_models(shards, dtype=torch.float32, read=told.append)["flux_text_encoder_t5"]
    whole = load(MODELS / DEMO.files.text_encoder_2)["flux_text_encoder_t5"]
    assert sum(told) == sum(tensor.nbytes for tensor in tensors.values())
    words = torch.arange(40)[None]
    assert torch.equal(sharded(words), whole(words))


def test_a_missing_shard_is_named_and_one_shard_alone_is_called_incomplete(tmp_path: Path) -> None:
    tensors = load_file(MODELS / DEMO.files.text_encoder_2)
    first = tmp_path / "first.safetensors"
    save_file({name: tensors[name] for name in sorted(tensors)[::2]}, first)
    with pytest.raises(ModelUnusable) as raised:
        load(first, tmp_path / "second.safetensors")
    assert (raised.value.reason, raised.value.file) == ("missing", "second.safetensors")
    with pytest.raises(ModelUnusable) as raised:
        load(first)
    assert (raised.value.reason, raised.value.file, raised.value.found) == ("incomplete", "first.safetensors", "T5")


def test_the_table_of_words_with_two_names_is_in_memory_once() -> None:
    encoder = load(MODELS / DEMO.files.text_encoder_2)["flux_text_encoder_t5"]
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight
    tables = [parameter for parameter in encoder.parameters() if parameter.shape[0] == demo.T5_VOCABULARY]
    assert len(tables) == 1


def test_weights_that_no_writer_aligned_are_read_too(tmp_path: Path) -> None:
    tensors = unscaled(MODELS / DEMO.files.text_encoder_1, torch.bfloat16)
    header = {}
    content = b""
    for name, tensor in tensors.items():
        content += tensor.view(torch.uint8).numpy().tobytes()
        place = [len(content) - tensor.nbytes, len(content)]
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 2)
    file = tmp_path / "odd.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + content)
    clip = load(file, dtype=torch.bfloat16)["flux_text_encoder_clip"]
    assert torch.equal(clip.token_embedding.weight, tensors["text_model.embeddings.token_embedding.weight"])


@on_linux
def test_a_large_file_that_no_writer_aligned_takes_memory_tensor_by_tensor(tmp_path: Path) -> None:
    path = sparse(tmp_path / "flux.safetensors", native("transformer", FLUX1))
    before = resident("RssAnon")
    checkpoint = Checkpoint(path)
    model = skeleton(checkpoint.entries[0])
    incoming, _ = checkpoint.incoming(checkpoint.entries[0], model)
    assert sum(each.nbytes for each in incoming) == checkpoint.bytes > 2**34
    largest = max(incoming, key=lambda each: each.nbytes)
    assert largest.pieces[0].storage_offset() == 0
    assert resident("RssAnon") - before < 2 * largest.nbytes + 64 * MIB


@on_linux
def test_a_file_larger_than_the_machines_memory_can_be_opened(tmp_path: Path) -> None:
    with Path("/proc/meminfo").open(encoding="ascii") as file:
        memory = sum(int(line.split()[1]) * 1024 for line in file if line.startswith(("MemTotal", "SwapTotal")))
    size = memory + 2**30
    header = json.dumps({"strange": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "vast.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        # A file with a hole takes no room on the disk.
        file.truncate(8 + len(header) + size)
    with pytest.raises(ModelUnusable) as raised:
        load(path)
    assert raised.value.reason == "unknown"


class TooSoon(Exception):
    """Raised by a test in the middle of loading."""


def give_back_free_memory() -> None:
    """What Python and the C library keep for the next request looks like memory that is held."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def resident(kind: str) -> int:
    """Bytes of this process in RAM: RssAnon its own, RssFile pages of files, which the system may take back."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024


def is_mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text("utf-8")


@pytest.fixture
def wide_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo transformer of twice the width: 270 MiB in float32, 68 in float8."""
    monkeypatch.setattr(demo, "WIDTH", 512)
    monkeypatch.setattr(demo, "HEADS", 8)
    architecture = replace(DEMO.architecture, width=512, heads=8)
    shapes = shapes_of("transformer", architecture)
    monkeypatch.setattr(recognition, "candidates", lambda _: ((architecture, shapes),))
    tensors = {name: torch.full(shape, 0.01) for name, shape in shapes.items()}
    (entry,) = (
        entry for entry in demo.ENTRIES if entry["model_class"].endswith("DemoFluxDiT") and "extra_kwargs" not in entry
    )
    entries = [*MODEL_CONFIGS, entry | {"model_hash": model_hash(tensors)}]
    monkeypatch.setattr("darkroom.engine.loading.MODEL_CONFIGS", entries)
    path = tmp_path / "wide.safetensors"
    save_file(tensors, path)
    return path


@on_linux
def test_a_wide_checkpoint_is_never_a_second_time_in_memory(wide_checkpoint: Path) -> None:
    load(wide_checkpoint)
    gc.collect()
    before = {kind: resident(kind) for kind in ("RssAnon", "RssFile")}
    most = dict(before)

    def look(_: int) -> None:
        for kind in most:
            most[kind] = max(most[kind], resident(kind))

    model = load_models(wide_checkpoint, dtype=torch.bfloat16, read=look)["flux_dit"]
    stored = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    assert wide_checkpoint.stat().st_size > 3.5 * stored > 200 * MIB
    # Beside the model: a part of one weight in float32, and what the allocator keeps.
    assert most["RssAnon"] - before["RssAnon"] < stored + 24 * MIB
    # What was read of the file leaves as well.
    assert most["RssFile"] - before["RssFile"] < 24 * MIB


@on_linux
@pytest.mark.parametrize("moment", [1, 100, -1], ids=["at once", "in the middle", "at the end"])
def test_a_stop_while_loading_leaves_nothing_held(wide_checkpoint: Path, moment: int) -> None:
    told: list[int] = []
    load_models(wide_checkpoint, dtype=torch.bfloat16, read=told.append)
    stop_at, calls = moment % (len(told) + 1), 0

    def read(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise TooSoon

    give_back_free_memory()
    before = resident("RssAnon")
    with pytest.raises(TooSoon):
        load_models(wide_checkpoint, dtype=torch.bfloat16, read=read)
    give_back_free_memory()
    assert calls == stop_at
    assert not is_mapped(wide_checkpoint)
    assert resident("RssAnon") - before < 40 * MIB


@on_linux
def test_weights_in_their_final_type_stay_in_the_file_for_as_long_as_someone_has_them(tmp_path: Path) -> None:
    path = tmp_path / "float8.safetensors"
    path.write_bytes((MODELS / DEMO.files.transformer).read_bytes())
    give_back_free_memory()
    before = resident("RssAnon")
    transformer = load(path, dtype=torch.bfloat16)["flux_dit"]
    give_back_free_memory()
    assert resident("RssAnon") - before < 8 * MIB
    assert is_mapped(path)
    one: Callable[..., Tensor] = transformer.single_blocks[0].proj_out
    del transformer
    gc.collect()
    assert is_mapped(path)
    assert one(torch.ones(1, 5 * demo.WIDTH, dtype=torch.bfloat16)).isfinite().all()
    del one
    gc.collect()
    assert not is_mapped(path)
