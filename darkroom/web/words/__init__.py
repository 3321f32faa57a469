"""Words: what a person reads, by key and language, from en.yaml and zh.yaml beside this file.

A missing key is a mistake of ours and raises KeyError. Must not know: who reads, or where.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Words:
    """The words of one language. Keys are paths: "watch.step"."""

    def __init__(self, language: Language, tree: Mapping[str, Any]) -> None:
        self.language = language
        self._flat = dict(_flattened(tree))
        self._tree = tree

    def __contains__(self, key: object) -> bool:
        return key in self._flat

    def keys(self) -> frozenset[str]:
        return frozenset(self._flat)

    def say(self, key: str, **values: object) -> str:
        return self._flat[key].format(**values) if values else self._flat[key]

    def group(self, key: str) -> dict[str, str]:
        """The words directly below `key`, for the page's scripts."""
        return {name: word for name, word in self._tree[key].items() if isinstance(word, str)}


def load_words() -> dict[Language, Words]:
    """Read every language."""
    folder = files(__package__)
    return {
        language: Words(language, yaml.safe_load((folder / f"{language}.yaml").read_text(encoding="utf-8")))
        for language in LANGUAGES
    }


def _flattened(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, below in tree.items():
        key = f"{above}{name}"
        if isinstance(below, Mapping):
            pairs += _flattened(below, key + ".")
        else:
            pairs.append((key, str(below)))
    return pairs
