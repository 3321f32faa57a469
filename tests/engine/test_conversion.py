"""Converting a checkpoint once: the same model bit for bit, and a file that is whole, up to date, or not used."""

import json
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from darkroom.catalog import DEMO
from darkroom.engine import conversion, demo
from darkroom.engine.conversion import SUFFIX, find_weights
from darkroom.engine.loading import (
    BLOCKS,
    CONVERTED,
    CONVERTED_VERSION,
    SCALE_SUFFIX,
    BytesRead,
    load_models,
)
from darkroom.engine.resting import Unit
from darkroom.errors import ModelUnusable

MODELS = Path(__file__).parents[2] / "models"
T5 = DEMO.files.text_encoder_2
BF16 = torch.bfloat16
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs limits and signals of POSIX")


@pytest.fixture(autouse=True)
def _demo_is_known() -> None:
    demo.register()


def wide(file: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The shipped checkpoint as it would be had it never been float8."""
    tensors = load_file(MODELS / file)
    return {
        name: (tensor.float() * tensors.get(name.removesuffix(".weight") + SCALE_SUFFIX, torch.ones(()))).to(dtype)
        for name, tensor in tensors.items()
        if not name.endswith(SCALE_SUFFIX)
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "transformer.safetensors"
    path.parent.mkdir()
    save_file(wide(DEMO.files.transformer, BF16), path)
    return path


def ours(source: Path) -> Path:
    return source.with_name(source.stem + SUFFIX)


def quiet(_: int) -> None: ...


def load(*sources: Path, dtype: torch.dtype = BF16, cache: Path | None = None, read: BytesRead = quiet) -> nn.Module:
    (model,) = find_weights(sources, dtype=dtype, cache=cache).load(read=read).values()
    return model


def direct(*sources: Path, dtype: torch.dtype = BF16) -> nn.Module:
    (model,) = load_models(sources, dtype=dtype, read=quiet).values()
    return model


def same_bits(a: nn.Module, b: nn.Module) -> bool:
    mine, others = a.state_dict(), b.state_dict()
    return list(mine) == list(others) and all(
        tensor.dtype == others[name].dtype
        and tensor.shape == others[name].shape
        and torch.equal(tensor.reshape(-1).view(torch.uint8), others[name].reshape(-1).view(torch.uint8))
        for name, tensor in mine.items()
    )


def folder(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


@pytest.mark.parametrize("file", [DEMO.files.transformer, T5], ids=str)
@pytest.mark.parametrize("dtype", [BF16, torch.float32], ids=str)
@pytest.mark.parametrize("kind", [BF16, torch.float16, torch.float32], ids=str)
def test_the_converted_file_gives_the_same_model_bit_for_bit(
    file: Path, kind: torch.dtype, dtype: torch.dtype, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    save_file(wide(file, kind), path)
    expected = direct(path, dtype=dtype)
    assert same_bits(load(path, dtype=dtype), expected)
    again = find_weights(path, dtype=dtype)
    assert again.converted == ours(path)
    assert same_bits(*again.load(read=quiet).values(), expected)


def test_the_second_loading_reads_only_the_file_of_ours(source: Path) -> None:
    first = find_weights(source, dtype=BF16)
    assert (first.converted, first.target) == (None, ours(source))
    model = load(source)
    source.rename(source.with_suffix(".away"))
    assert same_bits(load_models(ours(source), dtype=BF16, read=quiet)["flux_dit"], model)
    source.with_suffix(".away").rename(source)
    assert ours(source).stat().st_size < 0.6 * source.stat().st_size
    assert folder(source.parent) == {source.name, ours(source).name}


def test_the_file_is_a_safetensors_file_like_any_other_and_says_where_it_came_from(source: Path) -> None:
    load(source)
    with safe_open(ours(source), framework="pt") as file:
        (about,) = json.loads(file.metadata()["sources"])
    assert (about["name"], about["size"], len(about["digest"])) == (source.name, source.stat().st_size, 64)
    tensors = load_file(ours(source))
    assert tensors["single_blocks.3.proj_out.weight"].dtype == torch.float8_e4m3fn
    assert tensors["single_blocks.3.proj_out.scale_weight"].shape == ()
    assert {tensor.dtype for name, tensor in tensors.items() if ".norm_q" in name} == {BF16}


@pytest.mark.parametrize("file", [DEMO.files.transformer, T5], ids=str)
def test_what_a_block_copies_lies_together_in_the_order_it_is_copied(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    save_file(wide(file, BF16), path)
    load(path)
    models = find_weights(path, dtype=BF16).load(read=quiet)
    (name, model), end = *models.items(), 0
    for prefix in BLOCKS[name]:
        for block in model.get_submodule(prefix.removesuffix(".")):
            assert isinstance(block, nn.Module)
            places = [(tensor.data_ptr(), tensor.nbytes) for tensor in Unit(block).tensors]
            assert all(a + size == b for (a, size), (b, _) in pairwise(places))
            assert places[0][0] == end or end == 0
            end = sum(places[-1])


def test_a_text_encoder_in_shards_becomes_one_file_with_one_table_of_words(tmp_path: Path) -> None:
    tensors = wide(T5, BF16)
    names = sorted(tensors)
    shards = [tmp_path / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for shard, part in zip(shards, (names[::2], names[1::2]), strict=True):
        save_file({name: tensors[name] for name in part}, shard)
    model = load(*shards)
    assert same_bits(model, direct(*shards))
    again = load(*shards)
    assert again.shared.weight is again.encoder.embed_tokens.weight
    with safe_open(ours(shards[0]), framework="pt") as file:
        assert "encoder.embed_tokens.weight" not in file.keys()  # noqa: SIM118 (safe_open is no dict)
    save_file({name: tensors[name] + 1 for name in names[1::2]}, shards[1])
    assert find_weights(shards, dtype=BF16).converted is None


@pytest.mark.parametrize("file", [DEMO.files.transformer, DEMO.files.text_encoder_1, T5, DEMO.files.vae], ids=str)
def test_what_would_gain_nothing_is_not_converted(file: Path) -> None:
    weights = find_weights(MODELS / file, dtype=BF16)
    assert (weights.converted, weights.target) == (None, None)


def test_it_can_be_turned_off(source: Path) -> None:
    load(source)
    weights = find_weights(source, dtype=BF16, convert=False)
    assert (weights.converted, weights.target) == (None, None)
    assert same_bits(*weights.load(read=quiet).values(), direct(source))


def test_a_file_for_another_type_is_used_where_nothing_was_lost_and_made_anew_otherwise(source: Path) -> None:
    load(source)
    assert find_weights(source, dtype=torch.float32).converted == ours(source)
    assert same_bits(load(source, dtype=torch.float32), direct(source, dtype=torch.float32))
    save_file(wide(DEMO.files.transformer, torch.float32), source)
    load(source)
    assert find_weights(source, dtype=torch.float32).converted is None
    assert same_bits(load(source, dtype=torch.float32), direct(source, dtype=torch.float32))


def test_each_byte_is_told_once_when_converting_and_when_reading_what_was_converted(source: Path) -> None:
    for _ in range(2):
        weights = find_weights(source, dtype=BF16)
        told: list[int] = []
        weights.load(read=told.append)
        assert sum(told) == weights.bytes
        assert len(told) > 100
        assert max(told) < weights.bytes / 10


def change_content(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def rewrite_late(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def widen_a_part(path: Path) -> None:
    tensors = {name: tensor for name, tensor in load_file(path).items() if "guidance" not in name}
    save_file(tensors | {name: tensor.float() for name, tensor in load_file(path).items() if "guidance" in name}, path)


@pytest.mark.parametrize("change", [change_content, rewrite_late, widen_a_part])
def test_a_source_that_changed_is_converted_anew(source: Path, change: Callable[[Path], None]) -> None:
    load(source)
    first = ours(source).read_bytes()
    change(source)
    assert find_weights(source, dtype=BF16).converted is None
    assert same_bits(load(source), direct(source))
    assert ours(source).read_bytes() != first
    assert find_weights(source, dtype=BF16).converted == ours(source)


def test_the_same_bytes_changed_within_one_tick_of_the_clock_are_noticed_by_a_sample(source: Path) -> None:
    load(source)
    about = source.stat()
    change_content(source)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert find_weights(source, dtype=BF16).converted is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def lose_what_was_not_flushed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(path.stat().st_size // 4))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribble(path: Path) -> None:
    path.write_bytes(b"\xff" * 10_000)


def another_version(path: Path) -> None:
    ours, older = (f'"{CONVERTED}": "{version}"'.encode() for version in (CONVERTED_VERSION, "1"))
    path.write_bytes(path.read_bytes().replace(ours, older, 1))


def no_dictionary(path: Path) -> None:
    path.write_bytes((2).to_bytes(8, "little") + b"[]")


@pytest.mark.parametrize(
    "damage", [change_content, cut, lose_what_was_not_flushed, empty, scribble, another_version, no_dictionary]
)
def test_a_damaged_file_of_ours_is_not_used_and_made_anew(source: Path, damage: Callable[[Path], None]) -> None:
    load(source)
    whole = ours(source).read_bytes()
    damage(ours(source))
    assert find_weights(source, dtype=BF16).converted is None
    assert same_bits(load(source), direct(source))
    assert ours(source).read_bytes() == whole


def test_a_file_of_ours_that_is_damaged_after_it_was_found_is_made_anew(source: Path) -> None:
    load(source)
    weights = find_weights(source, dtype=BF16)
    cut(ours(source))
    told: list[int] = []
    assert same_bits(*weights.load(read=told.append).values(), direct(source))
    assert sum(told) == weights.bytes


class TooSoon(Exception):
    """Raised by a test in the middle of a conversion."""


@pytest.mark.parametrize("moment", [1, 100, 150])
def test_a_stop_in_the_middle_leaves_nothing(source: Path, moment: int) -> None:
    told: list[int] = []

    def read(count: int) -> None:
        told.append(count)
        if len(told) == moment:
            raise TooSoon

    with pytest.raises(TooSoon):
        load(source, read=read)
    assert folder(source.parent) == {source.name}
    assert same_bits(load(source), direct(source))


@posix
def test_a_kill_in_the_middle_leaves_nothing_that_is_used_and_the_next_one_clears_up(source: Path) -> None:
    program = f"""
        import os, signal, torch
        from pathlib import Path
        from darkroom.engine import demo
        from darkroom.engine.conversion import find_weights
        demo.register()
        told = []
        def read(count):
            told.append(count)
            if len(told) == 100:
                os.kill(os.getpid(), signal.SIGKILL)
        find_weights(Path({str(source)!r}), dtype=torch.bfloat16).load(read=read)
    """
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=root, check=False)
    assert killed.returncode == -9
    (left,) = folder(source.parent) - {source.name}
    assert left.startswith(".darkroom-")
    assert find_weights(source, dtype=BF16).converted is None
    assert same_bits(load(source), direct(source))
    assert folder(source.parent) == {source.name, ours(source).name}


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@posix
def test_where_the_disk_takes_no_more_the_source_is_read_as_it_is(source: Path) -> None:
    told: list[int] = []
    with files_no_larger_than(4_000_000):
        weights = find_weights(source, dtype=BF16)
        assert same_bits(*weights.load(read=told.append).values(), direct(source))
    assert sum(told) == weights.bytes
    assert folder(source.parent) == {source.name}


def test_a_disk_is_not_filled_to_the_brim(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "SPARE_BYTES", 2**60)
    assert same_bits(load(source), direct(source))
    assert folder(source.parent) == {source.name}


@posix
def test_two_at_once_do_not_disturb_each_other(source: Path) -> None:
    outer = direct(source)
    seen: list[bool] = []

    def read(_: int) -> None:
        if not seen:
            seen.append(True)
            # While the first is at it, the second reads the source as it is.
            assert same_bits(load(source), outer)
            assert not ours(source).exists()

    assert same_bits(load(source, read=read), outer)
    assert find_weights(source, dtype=BF16).converted == ours(source)


def test_a_source_that_changes_meanwhile_gives_no_file(source: Path) -> None:
    def read(_: int) -> None:
        rewrite_late(source)

    load(source, read=read)
    assert folder(source.parent) == {source.name}


def test_beside_a_folder_that_cannot_be_written_to_it_goes_into_the_cache(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write = os.access
    # Whoever runs the tests as root may write anywhere.
    monkeypatch.setattr(conversion.os, "access", lambda path, mode: path != source.parent and may_write(path, mode))
    assert find_weights(source, dtype=BF16).target is None
    cache = tmp_path / "data" / "cache"
    assert same_bits(load(source, cache=cache), direct(source))
    assert folder(source.parent) == {source.name}
    (made,) = cache.iterdir()
    assert find_weights(source, dtype=BF16, cache=cache).converted == made
    other = tmp_path / "others" / source.name
    other.parent.mkdir()
    other.write_bytes(source.read_bytes())
    assert find_weights(other, dtype=BF16, cache=cache).converted is None


def test_a_missing_and_an_unknown_source_are_refused_as_ever(tmp_path: Path) -> None:
    save_file({"strange": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, reason in (("none", "missing"), ("other", "unknown")):
        with pytest.raises(ModelUnusable) as raised:
            find_weights(tmp_path / f"{name}.safetensors", dtype=BF16)
        assert raised.value.reason == reason
