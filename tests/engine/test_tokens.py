"""The page counts tokens without transformers; the engine reads prompts with it. Both must find the same."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import CLIPTokenizer, T5TokenizerFast

from darkroom.catalog import DEMO
from darkroom.prompts.tokens import CLIP_TOKENS, TokenCounter

MODELS = Path(__file__).parents[2] / "models"
LETTERS = (
    "abz AZ09.,:;'\"!?()[]{}<>|/\\_-+=*&^%$#@~\n\t\r\u00a0\u3000éßİﬁ㍿½ａＢ"
    "中文，。「」红色的房子日本語кот🦄👨\u200d👩🐈\u200b\u200f\u0301▁"
)

PROMPTS = [
    "",
    " ",
    "\n\t",
    "a red house by a lake at night",
    "A RED HOUSE, by a Lake!",
    "don't they're we've I'm he'd she'll it's",
    "湖边有一座红色的房子，夜晚，下雪",
    "一座ＲＥＤ房子。两只猫、三棵树",
    "🦄👨‍👩‍👧‍👦 a cat 🐈‍⬛",
    "שלום a cat \u202eright to left\u202c",
    "ﬁne ㍿ ½ İstanbul e\u0301 é",
    "a </s> b <pad> c <unk> d <|endoftext|> e <|startoftext|> <extra_id_0>",
    "▁a▁b ▁",
    "(house:1.2) [cat|dog] BREAK <lora:x:1>",
    "house " * 600,
    "红房子" * 200,
    "x" * 3000,
    "a" + " " * 500 + "b",
]


def random_prompts(count: int) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.choices(LETTERS, k=rng.randint(1, 300))) for _ in range(count)]


class Readers:
    """transformers' two tokenizers, called as DiffSynth's FLUX pipeline calls them."""

    def __init__(self, folder: Path) -> None:
        self.first = CLIPTokenizer.from_pretrained(str(folder / DEMO.files.tokenizer_1))
        self.second = T5TokenizerFast.from_pretrained(str(folder / DEMO.files.tokenizer_2))

    def check(self, prompt: str, counter: TokenCounter) -> None:
        count = counter.count(DEMO, prompt)
        assert count is not None
        assert count.used == len(self.second(prompt).input_ids)
        assert count.first_used == len(self.first(prompt).input_ids)
        assert (count.limit, count.first_limit) == (DEMO.prompt_tokens, CLIP_TOKENS)
        # transformers' own places of the tokens it keeps.
        kept = self.second(prompt, truncation=True, max_length=count.limit, return_offsets_mapping=True)
        first_kept = self.first(prompt, truncation=True, max_length=CLIP_TOKENS)
        assert count.first_is_cut == (count.first_used > len(first_kept.input_ids))
        if count.used == len(kept.input_ids):
            assert count.cut_at is None
        else:
            assert count.cut_at is not None
            assert count.cut_at <= kept["offset_mapping"][-2][1] <= len(prompt)

    def reads(self, prompt: str) -> list[int]:
        ids = self.second(prompt, padding="max_length", max_length=DEMO.prompt_tokens, truncation=True).input_ids
        return list(ids)


@pytest.fixture(scope="module")
def shipped() -> Readers:
    return Readers(MODELS)


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(MODELS)


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: repr(prompt[:20]))
def test_the_page_counts_as_the_engine_does(prompt: str, shipped: Readers, counter: TokenCounter) -> None:
    shipped.check(prompt, counter)


def test_the_page_counts_random_text_as_the_engine_does(shipped: Readers, counter: TokenCounter) -> None:
    for prompt in random_prompts(300):
        shipped.check(prompt, counter)


@pytest.mark.parametrize("words", ["house ", "red house, two cats ", "红色的房子 两只猫 ", "zxqv! "])
def test_all_that_stands_before_the_cut_is_read_and_nothing_after_it(
    words: str, shipped: Readers, counter: TokenCounter
) -> None:
    prompt = words * 200
    count = counter.count(DEMO, prompt)
    assert count is not None
    assert count.cut_at is not None
    cut = count.cut_at
    # The same character goes on, so that the last piece that is read ends where it did.
    assert shipped.reads(prompt[:cut] + prompt[cut] * 50) == shipped.reads(prompt)
    assert shipped.reads(prompt[: cut - 1]) != shipped.reads(prompt)


def _with_truncation(content: dict[str, object]) -> None:
    content["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}


def _with_letters_made_small(content: dict[str, object]) -> None:
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}


@pytest.mark.parametrize("change", [_with_truncation, _with_letters_made_small])
def test_what_the_engine_ignores_in_a_file_is_ignored_by_the_page(
    change: Callable[[dict[str, object]], None], tmp_path: Path
) -> None:
    for folder in (DEMO.files.tokenizer_1, DEMO.files.tokenizer_2):
        shutil.copytree(MODELS / folder, tmp_path / folder)
        file = tmp_path / folder / "tokenizer.json"
        content = json.loads(file.read_text("utf-8"))
        change(content)
        file.write_text(json.dumps(content), "utf-8")
    readers, counter = Readers(tmp_path), TokenCounter(tmp_path)
    for prompt in PROMPTS:
        readers.check(prompt, counter)
