"""What the network learns from, batch by batch: which pictures of which size, and their captions as tokens.

Must not know: latents, networks, or how they learn.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import CLIPTokenizer, T5TokenizerFast

from tools.demo_model.captions import Caption, caption
from tools.demo_model.make_tokenizers import small_letters
from tools.demo_model.network import CLIP_TOKENS, PROMPT_TOKENS, Tokens
from tools.demo_model.reading import Said, said_by
from tools.demo_model.scenes import Scene

TOKENS_A_STEP = 96_000
CHINESE_SHARE = 0.3
EMPTY_SHARE = 0.1
STRANGE_SHARE = 0.06
LONG_SHARE = 0.015


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Which pictures of which size, and their captions as tokens. The empty prompt's tokens are (1, length)."""

    bucket: int
    chosen: Tensor
    clip: Tensor
    t5: Tensor
    said: Said
    empty_clip: Tensor
    empty_t5: Tensor


def pictures_a_step(patches: int, tokens: int = TOKENS_A_STEP) -> int:
    return max(1, tokens // (patches + PROMPT_TOKENS) // 8 * 8)


class Batches(IterableDataset[Batch]):
    """Endless batches: a size by its share, pictures at random, a fresh caption each time. `patches` are of each size.

    For the first `small_seconds` only the smallest pictures are shown: four times as many of them go into a second.
    """

    def __init__(
        self,
        scenes: list[list[Scene]],
        patches: list[int],
        shares: list[float],
        tokenizers: Path,
        *,
        tokens_a_step: int = TOKENS_A_STEP,
        small_seconds: float = 0.0,
        seed: str,
    ) -> None:
        self.scenes = scenes
        self.patches = patches
        self.shares = shares
        self.tokenizers = tokenizers
        self.tokens_a_step = tokens_a_step
        self.small_seconds = small_seconds
        self.seed = seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed} {worker.id if worker else 0}")
        reader = CaptionReader(self.tokenizers)
        empty = reader.read([""])
        small = [share * (size == min(self.patches)) for share, size in zip(self.shares, self.patches, strict=True)]
        began = time.monotonic()
        while True:
            weights = small if time.monotonic() - began < self.small_seconds else self.shares
            bucket = rng.choices(range(len(self.scenes)), weights)[0]
            number = pictures_a_step(self.patches[bucket], self.tokens_a_step)
            chosen = [rng.randrange(len(self.scenes[bucket])) for _ in range(number)]
            scenes = [self.scenes[bucket][place] for place in chosen]
            captions = [random_caption(scene, rng) for scene in scenes]
            tokens = reader.read([one.text for one in captions])
            yield Batch(
                bucket=bucket,
                chosen=torch.tensor(chosen),
                clip=tokens.clip,
                t5=tokens.t5,
                said=said_by(scenes, captions),
                empty_clip=empty.clip,
                empty_t5=empty.t5,
            )


class CaptionReader:
    """Captions to tokens, as `FluxImagePipeline` reads them."""

    def __init__(self, folder: Path) -> None:
        self.clip = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.t5 = T5TokenizerFast.from_pretrained(folder / "tokenizer_2")
        self.small_letters = torch.tensor(small_letters(self.t5))

    def read(self, texts: list[str]) -> Tokens:
        options = {"return_tensors": "pt", "padding": "max_length", "truncation": True}
        return Tokens(
            clip=self.clip(texts, max_length=CLIP_TOKENS, **options).input_ids,
            t5=self.small_letters[self.t5(texts, max_length=PROMPT_TOKENS, **options).input_ids],
        )


def random_caption(scene: Scene, rng: random.Random) -> Caption:
    """One of many captions; some with words among them that mean nothing, so that unknown words do no harm."""
    if rng.random() < EMPTY_SHARE:
        return Caption(text="", mentioned=frozenset())
    told = caption(scene, rng, language="zh" if rng.random() < CHINESE_SHARE else "en")
    text = told.text
    chance = rng.random()
    if chance < STRANGE_SHARE:
        words = text.split(" ")
        for _ in range(rng.randint(1, 4) if chance > LONG_SHARE else rng.randint(8, 40)):
            words.insert(rng.randrange(len(words) + 1), strange_word(rng))
        text = " ".join(words)
    return Caption(text=text, mentioned=told.mentioned)


def strange_word(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghjklmnpqrstvwxyz") + rng.choice("aeiou") for _ in range(rng.randint(1, 4)))
