"""Words: what a person reads, by key and language, from the YAML files beside this one: en.yaml, recall.en.yaml…

A missing key is a mistake of ours and raises KeyError. Must not know: who reads, or where.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

# Where PyYAML was built with libyaml, the same in a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GROUPS_FOR_SCRIPTS = ("form", "views", "watch", "strip", "picture", "viewer", "reuse", "history", "queue")


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

    def for_scripts(self) -> dict[str, Any]:
        """What the page's scripts say by themselves."""
        return {"name": self.say("name"), **{key: dict(self._tree[key]) for key in GROUPS_FOR_SCRIPTS}}


def load_words() -> dict[Language, Words]:
    """Read every language."""
    return {language: Words(language, _tree(language)) for language in LANGUAGES}


def _tree(language: Language) -> dict[str, Any]:
    """Each file has groups of its own."""
    tree: dict[str, Any] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if file.name == f"{language}.yaml" or file.name.endswith(f".{language}.yaml"):
            tree |= yaml.load(file.read_text(encoding="utf-8"), LOADER)
    return tree


def _flattened(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, below in tree.items():
        key = f"{above}{name}"
        if isinstance(below, Mapping):
            pairs += _flattened(below, key + ".")
        else:
            pairs.append((key, str(below)))
    return pairs
