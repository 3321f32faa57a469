"""Says in words what a scene shows, each time a little differently, and which facts were said.

Knows scenes and languages; must not know how anything is drawn. The words are in `english.py` and `chinese.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tools.demo_model import chinese, english
from tools.demo_model.scenes import Scene

Language = Literal["en", "zh"]


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A caption, and the facts in it: "time", "weather", "terrain", "style", and "kind:0", "colour:0" and so on."""

    text: str
    mentioned: frozenset[str]


def caption(scene: Scene, rng: random.Random, language: Language = "en") -> Caption:
    """One of the many ways to ask for this scene."""
    said = choose_facts(scene, rng)
    write = english.write if language == "en" else chinese.write
    return Caption(text=write(scene, said, rng), mentioned=said)


def choose_facts(scene: Scene, rng: random.Random) -> frozenset[str]:
    """What the caption will tell; an empty landscape tells at least where it is."""
    said = set()
    if rng.random() < 0.85:
        said.add("time")
    if rng.random() < (0.35 if scene.weather == "clear" else 0.80):
        said.add("weather")
    if rng.random() < 0.80 or not scene.subjects:
        said.add("terrain")
    if scene.style == "ink":
        said.add("style")
    for i, subject in enumerate(scene.subjects):
        said.add(f"kind:{i}")
        if rng.random() < 0.92:
            said.add(f"colour:{i}")
        if rng.random() < 0.75:
            said.add(f"place:{i}")
        if subject.size != "medium" and rng.random() < 0.70:
            said.add(f"size:{i}")
        if subject.count > 1:
            said.add(f"count:{i}")
    return frozenset(said)


def all_words() -> dict[Language, tuple[str, ...]]:
    """The words a prompt may use: English ones one by one, Chinese ones as they are put together."""
    return {"en": english.words(), "zh": chinese.words()}
