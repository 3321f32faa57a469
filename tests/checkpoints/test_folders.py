"""Checkpoints of several files: shards, their index, a pipeline's folder; and those that lie or lack something."""

import json
from pathlib import Path

import pytest

from darkroom.checkpoints import recognise
from darkroom.errors import ModelUnusable
from tests.checkpoints.sparse import Fields, sparse
from tests.checkpoints.true_shapes import SCHNELL, diffusers, native


def shard(folder: Path, fields: Fields, count: int, stem: str = "diffusion_pytorch_model") -> list[Path]:
    names = sorted(fields)
    paths = [folder / f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        sparse(path, {name: fields[name] for name in names[number::count]})
    weight_map = {name: paths[place % count].name for place, name in enumerate(names)}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return paths


def test_shards_are_one_model_by_their_folder_their_index_or_any_of_them(tmp_path: Path) -> None:
    shards = shard(tmp_path / "transformer", diffusers(), 3)
    index = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    for path in (tmp_path / "transformer", index, *shards):
        found = recognise(path)
        assert (found.path, found.files, found.part_names) == (path, tuple(shards), ("transformer",))


def test_a_pipelines_folder_has_all_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "FLUX.1-schnell"
    shard(folder / "transformer", diffusers("transformer", SCHNELL), 3)
    sparse(folder / "text_encoder" / "model.safetensors", native("text_encoder_1"))
    shard(folder / "text_encoder_2", native("text_encoder_2"), 2, "model")
    sparse(folder / "vae" / "diffusion_pytorch_model.safetensors", diffusers("vae"))
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    found = recognise(folder)
    assert (found.layout, found.family) == ("pipeline", "flux1-schnell")
    assert {part.name: len(part.files) for part in found.parts} == {
        "transformer": 3,
        "text_encoder_1": 1,
        "text_encoder_2": 2,
        "vae": 1,
    }


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    shards = shard(tmp_path, diffusers(), 3)
    shards[1].unlink()
    for path in (tmp_path, shards[0]):
        with pytest.raises(ModelUnusable) as raised:
            recognise(path)
        assert (raised.value.reason, raised.value.found) == ("shard", shards[1].name)


@pytest.mark.parametrize(
    "name", ["../other.safetensors", "/etc/passwd", "a\\b.safetensors", "x\0.safetensors", "notes.txt"]
)
def test_an_index_names_files_beside_it_and_no_others(name: str, tmp_path: Path) -> None:
    sparse(tmp_path / "other.safetensors", native())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelUnusable) as raised:
        recognise(folder)
    assert raised.value.reason == "damaged"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 100_000, "\ud800"]
)
def test_an_index_that_lies_is_damaged(content: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelUnusable) as raised:
        recognise(path)
    assert raised.value.reason == "damaged"


def test_a_folder_without_weights_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable) as raised:
        recognise(tmp_path)
    assert raised.value.reason == "unknown"
