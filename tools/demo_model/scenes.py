"""What a picture of the demonstration world can show, and how to pick one at random.

Labels only: this file must not know how anything is drawn or worded.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

Time = Literal["morning", "day", "sunset", "night"]
Weather = Literal["clear", "cloudy", "rain", "snow", "mist"]
Terrain = Literal["meadow", "mountains", "sea", "lake", "desert", "forest"]
Kind = Literal[
    "house", "tree", "cat", "rabbit", "bird", "sailboat", "balloon", "lighthouse",
    "windmill", "car", "mushroom", "flower", "tent", "castle", "kite", "umbrella",
]  # fmt: skip
Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "white"]
Size = Literal["small", "medium", "large"]
Place = Literal["left", "centre", "right"]
Style = Literal["book", "ink"]

TIMES: tuple[Time, ...] = get_args(Time)
WEATHERS: tuple[Weather, ...] = get_args(Weather)
TERRAINS: tuple[Terrain, ...] = get_args(Terrain)
KINDS: tuple[Kind, ...] = get_args(Kind)
COLOURS: tuple[Colour, ...] = get_args(Colour)
SIZES: tuple[Size, ...] = get_args(Size)
COUNTS: tuple[int, ...] = (1, 2, 3)
PLACES: tuple[Place, ...] = get_args(Place)
STYLES: tuple[Style, ...] = get_args(Style)

FLYING: frozenset[Kind] = frozenset({"bird", "balloon", "kite"})
FLOATING: frozenset[Kind] = frozenset({"sailboat"})
WATERS: frozenset[Terrain] = frozenset({"sea", "lake"})


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing in the picture, or a group of two or three alike."""

    kind: Kind
    colour: Colour
    size: Size = "medium"
    count: int = 1
    place: Place = "centre"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything a caption may tell about a picture."""

    time: Time
    weather: Weather
    terrain: Terrain
    subjects: tuple[Subject, ...] = ()
    style: Style = "book"


def random_scene(rng: random.Random, style: Style = "book") -> Scene:
    """A scene in which every label is about as likely as its siblings."""
    terrain = rng.choice(TERRAINS)
    number = rng.choices((0, 1, 2, 3), weights=(4, 48, 33, 15))[0]
    return Scene(
        time=rng.choice(TIMES),
        weather=rng.choices(WEATHERS, weights=(34, 18, 16, 16, 16))[0],
        terrain=terrain,
        subjects=_subjects(rng, terrain, number),
        style=style,
    )


def _subjects(rng: random.Random, terrain: Terrain, number: int) -> tuple[Subject, ...]:
    kinds = _kinds(rng, terrain, number)
    sizes = _sizes(rng, number)
    places: list[Place] = rng.sample(PLACES, number)
    if number == 2 and "large" in sizes:  # a large one needs the room
        places = rng.sample(("left", "right"), 2)
    return tuple(
        Subject(
            kind=kind,
            colour=rng.choice(COLOURS),
            size=size,
            count=_count(rng, size, number),
            place=place,
        )
        for kind, place, size in zip(kinds, places, sizes, strict=True)
    )


def _kinds(rng: random.Random, terrain: Terrain, number: int) -> list[Kind]:
    """Different kinds; on water a sailboat comes often, because it can come nowhere else."""
    ashore = [kind for kind in KINDS if kind not in FLOATING]
    kinds: list[Kind] = rng.sample(ashore, number)
    if number and terrain in WATERS and rng.random() < 0.11 + 0.09 * number:
        kinds[rng.randrange(number)] = "sailboat"
    return kinds


def _sizes(rng: random.Random, number: int) -> list[Size]:
    """At most one large subject, and none in a picture of three."""
    weights = {0: (1, 1, 1), 1: (26, 44, 30), 2: (30, 70, 0), 3: (35, 65, 0)}[number]
    sizes: list[Size] = rng.choices(SIZES, weights=weights, k=number)
    if number == 2 and rng.random() < 0.4:
        sizes[rng.randrange(2)] = "large"
    return sizes


def _count(rng: random.Random, size: Size, number: int) -> int:
    if size == "large" or number == 3:
        return 1
    if number == 2:
        return rng.choices(COUNTS, weights=(86, 10, 4))[0]
    return rng.choices(COUNTS, weights=(46, 29, 25))[0]
