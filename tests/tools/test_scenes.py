"""The pictures and captions of the demonstration world."""

from __future__ import annotations

import dataclasses
import random

import pytest

from tools.demo_model import english
from tools.demo_model.captions import all_words, caption
from tools.demo_model.drawing import draw
from tools.demo_model.layout import lay_out
from tools.demo_model.scenes import (
    COLOURS,
    COUNTS,
    FLOATING,
    KINDS,
    PLACES,
    SIZES,
    STYLES,
    TERRAINS,
    TIMES,
    WATERS,
    WEATHERS,
    Scene,
    Style,
    Subject,
    random_scene,
)

SHAPES = [(256, 512), (512, 256), (384, 384)]


def scenes(number: int, seed: int = 0, style: Style = "book") -> list[Scene]:
    rng = random.Random(seed)
    return [random_scene(rng, style) for _ in range(number)]


def plain(**changes: object) -> Scene:
    scene = Scene(time="day", weather="clear", terrain="lake", subjects=(Subject(kind="cat", colour="red"),))
    return dataclasses.replace(scene, **changes)  # type: ignore[arg-type]


def test_the_same_scene_size_and_seed_give_the_same_picture() -> None:
    for scene in scenes(4) + scenes(4, style="ink"):
        first, second = (draw(scene, width=256, height=192, seed=5) for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_another_seed_gives_another_picture() -> None:
    assert (
        draw(plain(), width=256, height=256, seed=1).tobytes() != draw(plain(), width=256, height=256, seed=2).tobytes()
    )


def test_the_same_random_numbers_give_the_same_scene() -> None:
    assert scenes(50, seed=3) == scenes(50, seed=3)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_every_size_and_at_extreme_aspects(kind: str, style: str) -> None:
    for size, (width, height) in zip(SIZES, SHAPES, strict=True):
        subject = Subject(kind=kind, colour="purple", size=size, place="left")  # type: ignore[arg-type]
        with_it = draw(plain(subjects=(subject,), style=style), width=width, height=height, seed=3)
        assert (with_it.size, with_it.mode) == ((width, height), "RGB")
        assert with_it.tobytes() != draw(plain(subjects=(), style=style), width=width, height=height, seed=3).tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_every_time_weather_and_terrain_looks_different(style: str) -> None:
    seen = {
        draw(Scene(time=time, weather=weather, terrain=terrain, style=style), width=64, height=64, seed=1).tobytes()  # type: ignore[arg-type]
        for time in TIMES
        for weather in WEATHERS
        for terrain in TERRAINS
    }
    assert len(seen) == len(TIMES) * len(WEATHERS) * len(TERRAINS)


def test_every_colour_and_count_looks_different() -> None:
    seen = {
        draw(
            plain(subjects=(Subject(kind="tent", colour=colour, count=count),)), width=128, height=128, seed=1
        ).tobytes()
        for colour in COLOURS
        for count in COUNTS
    }
    assert len(seen) == len(COLOURS) * len(COUNTS)


@pytest.mark.parametrize("shape", SHAPES)
def test_subjects_are_centred_in_the_third_they_are_said_to_be_in(shape: tuple[int, int]) -> None:
    width, height = shape
    for seed, scene in enumerate(scenes(400) + scenes(200, style="ink")):
        spots = lay_out(scene, width=width, height=height, rng=random.Random(seed))
        for index, subject in enumerate(scene.subjects):
            xs = [spot.x for spot in spots if spot.subject == index]
            assert len(xs) == subject.count
            third = PLACES.index(subject.place)
            assert third / 3 + 0.03 < sum(xs) / len(xs) / width < (third + 1) / 3 - 0.03


def test_large_subjects_are_larger_than_small_ones_and_all_are_large_enough_to_see() -> None:
    for kind in KINDS:
        tall = []
        for size in SIZES:
            scene = plain(subjects=(Subject(kind=kind, colour="red", size=size),))
            (spot,) = lay_out(scene, width=512, height=512, rng=random.Random(1))
            tall.append(spot.height)
            assert max(spot.height, spot.width) >= 60
        assert tall[0] * 1.3 < tall[1] < tall[2] / 1.2


def test_random_scenes_use_every_label_and_keep_their_rules() -> None:
    many = scenes(4000)
    subjects = [subject for scene in many for subject in scene.subjects]
    for labels, seen in (
        (TIMES, {scene.time for scene in many}),
        (WEATHERS, {scene.weather for scene in many}),
        (TERRAINS, {scene.terrain for scene in many}),
        (KINDS, {subject.kind for subject in subjects}),
        (COLOURS, {subject.colour for subject in subjects}),
        (SIZES, {subject.size for subject in subjects}),
        (COUNTS, {subject.count for subject in subjects}),
        (PLACES, {subject.place for subject in subjects}),
    ):
        assert set(labels) == seen
    for scene in many:
        kinds = [subject.kind for subject in scene.subjects]
        places = [subject.place for subject in scene.subjects]
        assert len(set(kinds)) == len(kinds) <= 3
        assert len(set(places)) == len(places)
        assert scene.terrain in WATERS or not FLOATING & set(kinds)


def test_two_thousand_scenes_are_captioned_in_both_languages_in_at_most_sixty_words() -> None:
    rng = random.Random(8)
    vocabulary = set(all_words()["en"])
    for scene in scenes(1400) + scenes(600, style="ink"):
        english_text = caption(scene, rng).text
        assert 1 <= len(english_text.split()) <= 60
        assert set(english.split(english_text)) <= vocabulary
        assert not any(slip in english_text for slip in ("  ", " ,", ".."))
        chinese_text = caption(scene, rng, "zh").text
        assert chinese_text
        assert not any(letter.isascii() and letter.isalpha() for letter in chinese_text)


def test_captions_say_what_they_say_they_mention() -> None:
    from tools.demo_model import chinese

    rng = random.Random(4)
    for scene in scenes(600) + scenes(200, style="ink"):
        said = caption(scene, rng, "en")
        spoken = caption(scene, rng, "zh")
        for i, subject in enumerate(scene.subjects):
            nouns = [word for pair in english.NOUNS[subject.kind] for word in pair]
            assert any(noun in said.text.lower() for noun in nouns)
            assert any(noun in spoken.text for noun in chinese.NOUNS[subject.kind])
            for fact, words, zh_words in (
                ("colour", english.COLOURS[subject.colour], chinese.COLOURS[subject.colour]),
                ("size", english.SIZES[subject.size], chinese.SIZES[subject.size]),
                ("count", english.COUNTS[subject.count], chinese.NUMBERS[subject.count]),
                (
                    "place",
                    (*english.PLACES[subject.place], *english.SHORT_PLACES[subject.place]),
                    chinese.PLACES[subject.place],
                ),
            ):
                if f"{fact}:{i}" in said.mentioned:
                    assert any(word in said.text.lower() for word in words), (fact, said.text)
                if f"{fact}:{i}" in spoken.mentioned:
                    assert any(word in spoken.text for word in zh_words), (fact, spoken.text)
        times = (*english.TIMES[scene.time], *english.SHORT_TIMES[scene.time], *english.TIME_NOUNS[scene.time])
        if "time" in said.mentioned:
            assert any(word in said.text.lower() for word in (*times, *english.CLEAR_NIGHT)), said.text


def test_captions_stay_silent_about_what_they_do_not_mention() -> None:
    rng = random.Random(6)
    for scene in scenes(800):
        said = caption(scene, rng)
        spoken = set(english.split(said.text))
        if not any(fact.startswith("colour") for fact in said.mentioned):
            assert not spoken & {word for options in english.COLOURS.values() for word in options}
        if not any(fact.startswith("place") for fact in said.mentioned):
            assert not spoken & {"left", "right", "middle", "centre", "center"}
        if "weather" not in said.mentioned:
            assert not spoken & {"snow", "snowy", "rain", "rainy", "mist", "misty", "fog", "foggy", "cloudy"}


def test_captions_of_one_scene_differ() -> None:
    rng = random.Random(2)
    assert len({caption(plain(), rng).text for _ in range(100)}) > 80
    assert len({caption(plain(), rng, "zh").text for _ in range(100)}) > 60
