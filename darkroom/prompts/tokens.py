"""TokenCounter: how many tokens of a prompt a model reads, and where it stops reading.

Counts as transformers does in the engine, without loading it. Must not know: torch, or what the tokens are for.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tokenizers import Encoding, Tokenizer

from darkroom.catalog import ModelEntry

CLIP_TOKENS = 77
END_TOKENS = 1


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """`used` of `limit` tokens of the second text encoder, which says what is in the picture; the end is counted.

    `cut_at` is the place in the prompt (in characters) from which that encoder reads nothing more; None: it reads all.
    The first encoder gives only a general mood; `first_used` and `first_limit` count its start and its end too.
    """

    used: int
    limit: int
    cut_at: int | None
    first_used: int
    first_limit: int

    @property
    def first_is_cut(self) -> bool:
        return self.first_used > self.first_limit


class TokenCounter:
    """Counts for the models below one folder. Reads a tokenizer when it is first asked for; safe for many threads."""

    def __init__(self, models: Path) -> None:
        self._folder = models
        self._read: dict[PurePosixPath, Tokenizer] = {}
        self._reading = threading.Lock()

    def count(self, model: ModelEntry, prompt: str) -> TokenCount | None:
        """None while the model's tokenizers are not there, or cannot be read: then the count is not known."""
        first = self._tokenizer(model.files.tokenizer_1, _as_clip)
        second = self._tokenizer(model.files.tokenizer_2, _as_t5)
        if first is None or second is None:
            return None
        text = _without_half_characters(prompt)
        encoding = second.encode(text)
        return TokenCount(
            used=len(encoding.ids),
            limit=model.prompt_tokens,
            cut_at=_cut_at(encoding, model.prompt_tokens),
            first_used=len(first.encode(text).ids),
            first_limit=CLIP_TOKENS,
        )

    def _tokenizer(self, folder: PurePosixPath, prepare: Callable[[dict[str, Any]], None]) -> Tokenizer | None:
        with self._reading:
            if folder not in self._read:
                tokenizer = _read_tokenizer(self._folder / folder / "tokenizer.json", prepare)
                if tokenizer is None:
                    # Not remembered: the files may still be on their way.
                    return None
                self._read[folder] = tokenizer
            return self._read[folder]


def _read_tokenizer(file: Path, prepare: Callable[[dict[str, Any]], None]) -> Tokenizer | None:
    try:
        content = json.loads(file.read_text("utf-8"))
        prepare(content)
        text = json.dumps(content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    try:
        return Tokenizer.from_str(text)
    except Exception:  # noqa: BLE001 (the library raises nothing more exact for a file that is not a tokenizer's)
        return None


def _cut_at(encoding: Encoding, limit: int) -> int | None:
    """The engine keeps the first `limit` − 1 tokens and puts the end after them."""
    if len(encoding.ids) <= limit:
        return None
    kept = limit - END_TOKENS
    first_dropped: int = encoding.offsets[kept][0]
    last_kept: int = encoding.offsets[kept - 1][1]
    # One character may be several tokens: if one of them is dropped, the character is not read.
    return min(first_dropped, last_kept)


def _without_half_characters(text: str) -> str:
    """Halves of surrogate pairs stand for nothing and cannot be encoded. Every place in the text stays the same."""
    return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


# Of a file of these two kinds, transformers reads vocabulary, merges and special tokens, and sets the rest itself.
CLIP_NORMALIZER: Mapping[str, Any] = {
    "type": "Sequence",
    "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Lowercase"},
    ],
}
CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # CLIP's own pattern
)
CLIP_PRE_TOKENIZER: Mapping[str, Any] = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": CLIP_WORDS}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}
T5_PRE_TOKENIZER: Mapping[str, Any] = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    ],
}


def _as_clip(content: dict[str, Any]) -> None:
    content |= {"normalizer": CLIP_NORMALIZER, "pre_tokenizer": CLIP_PRE_TOKENIZER, "truncation": None, "padding": None}


def _as_t5(content: dict[str, Any]) -> None:
    """Of the file's normalizers, only SentencePiece's table of characters is kept."""
    normalizer = content.get("normalizer") or {}
    steps = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    tables = (step for step in steps if step.get("type") == "Precompiled")
    content |= {"normalizer": next(tables, None), "pre_tokenizer": T5_PRE_TOKENIZER}
    content |= {"truncation": None, "padding": None}
