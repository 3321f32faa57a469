"""Counting tokens where the tokenizers are missing, damaged or arrive later. That counts are right: tests/engine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.catalog import DEMO, FLUX1_DEV, FLUX1_SCHNELL, MODELS, ModelEntry
from darkroom.config import FolderSettings, ModelSettings, Settings
from darkroom.downloads.shelf import Shelf
from darkroom.prompts.tokens import TokenCounter

MODELS_HERE = Path(__file__).parents[2] / "models"
FETCHED = tuple(entry for entry in MODELS if entry.weights)
TOKENIZERS = (DEMO.files.tokenizer_1, DEMO.files.tokenizer_2)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for folder in TOKENIZERS:
        shutil.copytree(MODELS_HERE / folder, tmp_path / folder)
    return tmp_path


def test_a_short_prompt_is_read_whole() -> None:
    count = TokenCounter(MODELS_HERE).count(DEMO, "a red house")
    assert count is not None
    assert 1 < count.used < count.limit == DEMO.prompt_tokens
    assert count.cut_at is None
    assert not count.first_is_cut


def test_an_empty_prompt_is_only_its_ends() -> None:
    count = TokenCounter(MODELS_HERE).count(DEMO, "")
    assert count is not None
    assert (count.used, count.first_used) == (1, 2)


def test_a_long_prompt_is_cut_between_what_is_read_and_what_is_not() -> None:
    prompt = "house, " * 600
    count = TokenCounter(MODELS_HERE).count(DEMO, prompt)
    assert count is not None
    assert count.used > count.limit
    assert count.first_is_cut
    assert count.cut_at is not None
    again = TokenCounter(MODELS_HERE).count(DEMO, prompt[: count.cut_at])
    assert again is not None
    assert (again.used, again.cut_at) == (count.limit, None)


def test_half_characters_are_counted_like_unknown_ones() -> None:
    counter = TokenCounter(MODELS_HERE)
    assert counter.count(DEMO, "a \ud83d house") == counter.count(DEMO, "a \ufffd house")


@pytest.mark.parametrize("missing", TOKENIZERS, ids=str)
def test_without_a_file_the_count_is_not_known_until_the_file_is_there(missing: Path, copied: Path) -> None:
    (copied / missing / "tokenizer.json").rename(copied / "away.json")
    counter = TokenCounter(copied)
    assert counter.count(DEMO, "a house") is None
    (copied / "away.json").rename(copied / missing / "tokenizer.json")
    assert counter.count(DEMO, "a house") == TokenCounter(MODELS_HERE).count(DEMO, "a house")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"normalizer": 5}', b'{"model": {}}'])
@pytest.mark.parametrize("damaged", TOKENIZERS, ids=str)
def test_with_a_damaged_file_the_count_is_not_known(content: bytes, damaged: Path, copied: Path) -> None:
    (copied / damaged / "tokenizer.json").write_bytes(content)
    assert TokenCounter(copied).count(DEMO, "a house") is None


@pytest.mark.parametrize("entry", FETCHED, ids=lambda entry: entry.name)
def test_each_model_counts_with_files_that_are_fetched_with_it(entry: ModelEntry) -> None:
    fetched = {file.part: file.place for file in entry.weights if file.place.name == "tokenizer.json"}
    places = {"tokenizer_1": entry.files.tokenizer_1, "tokenizer_2": entry.files.tokenizer_2}
    assert fetched == {part: folder / "tokenizer.json" for part, folder in places.items()}


def test_a_person_s_own_model_counts_as_the_one_it_is_like(tmp_path: Path) -> None:
    own = [
        {"name": f"my-{entry.name}", "file": f"mine/{entry.name}.safetensors", "like": entry.name} for entry in MODELS
    ]
    models = ModelSettings.model_validate({"own": own})
    shelf = Shelf(Settings(folders=FolderSettings(models=tmp_path), models=models))
    for entry in MODELS:
        mine, files = shelf.find(f"my-{entry.name}"), shelf.find(entry.name).files
        assert (mine.files.tokenizer_1, mine.files.tokenizer_2) == (files.tokenizer_1, files.tokenizer_2)
        assert mine.prompt_tokens == entry.prompt_tokens


def test_where_a_prompt_is_cut_is_the_chosen_model_s_own_limit(copied: Path) -> None:
    prompt, counter = "house, " * 600, TokenCounter(copied)
    assert counter.count(FLUX1_DEV, prompt) is None
    for folder, shared in zip(TOKENIZERS, (FLUX1_DEV.files.tokenizer_1, FLUX1_DEV.files.tokenizer_2), strict=True):
        shutil.copytree(MODELS_HERE / folder, copied / shared)
    cuts = []
    for entry, limit in ((DEMO, 96), (FLUX1_SCHNELL, 256), (FLUX1_DEV, 512)):
        count = counter.count(entry, prompt)
        assert count is not None
        assert count.limit == limit
        cuts.append(count.cut_at or 0)
    assert 0 < cuts[0] < cuts[1] < cuts[2] < len(prompt)


def test_a_tokenizer_is_read_once(copied: Path) -> None:
    counter = TokenCounter(copied)
    first = counter.count(DEMO, "a house")
    shutil.rmtree(copied)
    assert counter.count(DEMO, "a house") == first


def test_counting_loads_neither_torch_nor_transformers() -> None:
    program = "import sys, darkroom.prompts.tokens; print(*{'torch', 'transformers'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
