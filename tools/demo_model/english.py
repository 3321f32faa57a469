"""English captions: telegraph style, short phrases and flowing sentences from one set of chosen facts.

Knows scenes and words; must not choose which facts are told.
"""

from __future__ import annotations

import random
import re

from tools.demo_model.scenes import FLOATING, FLYING, Colour, Kind, Place, Scene, Size, Subject, Terrain, Time, Weather

NOUNS: dict[Kind, tuple[tuple[str, str], ...]] = {
    "house": (("house", "houses"), ("house", "houses"), ("cottage", "cottages"), ("home", "homes")),
    "tree": (("tree", "trees"),),
    "cat": (("cat", "cats"), ("cat", "cats"), ("kitten", "kittens"), ("kitty", "kitties")),
    "rabbit": (("rabbit", "rabbits"), ("rabbit", "rabbits"), ("bunny", "bunnies"), ("hare", "hares")),
    "bird": (("bird", "birds"),),
    "sailboat": (
        ("sailboat", "sailboats"),
        ("boat", "boats"),
        ("sailing boat", "sailing boats"),
        ("sailing ship", "sailing ships"),
    ),
    "balloon": (
        ("hot-air balloon", "hot-air balloons"),
        ("hot air balloon", "hot air balloons"),
        ("balloon", "balloons"),
    ),
    "lighthouse": (("lighthouse", "lighthouses"),),
    "windmill": (("windmill", "windmills"), ("windmill", "windmills"), ("mill", "mills")),
    "car": (("car", "cars"), ("car", "cars"), ("automobile", "automobiles")),
    "mushroom": (("mushroom", "mushrooms"), ("mushroom", "mushrooms"), ("toadstool", "toadstools")),
    "flower": (("flower", "flowers"), ("flower", "flowers"), ("blossom", "blossoms")),
    "tent": (("tent", "tents"),),
    "castle": (("castle", "castles"), ("castle", "castles"), ("fortress", "fortresses")),
    "kite": (("kite", "kites"),),
    "umbrella": (("umbrella", "umbrellas"), ("umbrella", "umbrellas"), ("parasol", "parasols")),
}
VERBS: dict[Kind, tuple[tuple[str, str], ...]] = {
    "house": (("stands", "stand"),),
    "tree": (("stands", "stand"), ("grows", "grow")),
    "cat": (("sits", "sit"),),
    "rabbit": (("sits", "sit"),),
    "bird": (("flies", "fly"),),
    "sailboat": (("sails", "sail"), ("floats", "float")),
    "balloon": (("floats", "float"), ("drifts", "drift"), ("flies", "fly")),
    "lighthouse": (("stands", "stand"), ("shines", "shine")),
    "windmill": (("stands", "stand"), ("turns", "turn")),
    "car": (("is parked", "are parked"), ("waits", "wait")),
    "mushroom": (("grows", "grow"), ("stands", "stand")),
    "flower": (("grows", "grow"), ("blooms", "bloom")),
    "tent": (("stands", "stand"),),
    "castle": (("stands", "stand"), ("rises", "rise")),
    "kite": (("flies", "fly"),),
    "umbrella": (("stands", "stand"),),
}
SIZES: dict[Size, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "medium": (),
    "large": ("large", "large", "big", "big", "huge", "giant"),
}
COLOURS: dict[Colour, tuple[str, ...]] = {
    "red": ("red",), "orange": ("orange",), "yellow": ("yellow",), "green": ("green",),
    "blue": ("blue",), "purple": ("purple", "purple", "violet"), "pink": ("pink",), "white": ("white",),
}  # fmt: skip
COUNTS: dict[int, tuple[str, ...]] = {
    1: ("a", "a", "a", "one"),
    2: ("two", "two", "two", "a pair of", "2"),
    3: ("three", "three", "three", "3"),
}
PLACES: dict[Place, tuple[str, ...]] = {
    "left": ("on the left", "on the left", "to the left", "on the left side", "at the left"),
    "centre": ("in the middle", "in the middle", "in the centre", "in the center", "at the centre"),
    "right": ("on the right", "on the right", "to the right", "on the right side", "at the right"),
}
SHORT_PLACES: dict[Place, tuple[str, ...]] = {
    "left": ("left", "on the left"),
    "centre": ("centre", "center", "middle", "in the middle"),
    "right": ("right", "on the right"),
}
TIMES: dict[Time, tuple[str, ...]] = {
    "morning": ("in the morning", "in the morning", "early in the morning", "at dawn", "in the morning light"),
    "day": ("in the daytime", "during the day", "by day", "at noon", "in daylight"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening", "in the evening glow"),
    "night": ("at night", "at night", "at night", "in the night", "by night"),
}
CLEAR_NIGHT = ("under the stars", "by moonlight", "under a starry sky")
SHORT_TIMES: dict[Time, tuple[str, ...]] = {
    "morning": ("morning", "morning", "dawn", "morning light"),
    "day": ("day", "daytime", "daylight", "noon"),
    "sunset": ("sunset", "sunset", "dusk", "evening", "evening glow"),
    "night": ("night", "night", "at night"),
}
TIME_NOUNS: dict[Time, tuple[str, ...]] = {
    "morning": ("morning",), "day": ("day",), "sunset": ("evening",), "night": ("night",),
}  # fmt: skip
WEATHERS: dict[Weather, tuple[str, ...]] = {
    "clear": ("under a clear sky", "in clear weather", "in fine weather"),
    "cloudy": ("under a cloudy sky", "under clouds", "under an overcast sky", "in cloudy weather"),
    "rain": ("in the rain", "in the rain", "while it rains", "in rainy weather", "under falling rain"),
    "snow": ("in the snow", "in the snow", "in falling snow", "while it snows", "in snowy weather"),
    "mist": ("in the mist", "in the fog", "in mist", "in fog", "in misty weather", "in foggy weather"),
}
SHORT_WEATHERS: dict[Weather, tuple[str, ...]] = {
    "clear": ("clear sky", "clear", "clear weather", "fine weather"),
    "cloudy": ("cloudy", "clouds", "cloudy sky", "overcast"),
    "rain": ("rain", "rain", "rainy", "raining"),
    "snow": ("snow", "snow", "snowy", "snowing"),
    "mist": ("mist", "fog", "misty", "foggy"),
}
ADJECTIVES: dict[Weather, tuple[str, ...]] = {
    "clear": ("clear",), "cloudy": ("cloudy",), "rain": ("rainy",), "snow": ("snowy",), "mist": ("misty", "foggy"),
}  # fmt: skip
TERRAINS: dict[Terrain, tuple[str, ...]] = {
    "meadow": ("in a meadow", "on a meadow", "in a grassy field", "on a grassy hill", "in rolling hills"),
    "mountains": ("in the mountains", "in front of mountains", "with mountains behind", "among the mountains"),
    "sea": ("by the sea", "at the sea", "at the seaside", "on the beach", "by the ocean", "on the coast"),
    "lake": ("by a lake", "at a lake", "on the shore of a lake", "beside a lake", "by the lake"),
    "desert": ("in the desert", "in a desert", "among sand dunes", "in a sandy desert"),
    "forest": ("in a forest", "in the forest", "in the woods", "in front of a forest", "at the edge of a forest"),
}
AFLOAT: dict[Terrain, tuple[str, ...]] = {
    "sea": ("on the sea", "on the ocean", "at sea"),
    "lake": ("on a lake", "on the lake"),
}
ALOFT: dict[Terrain, tuple[str, ...]] = {
    "meadow": ("over a meadow", "above a meadow", "over a grassy field"),
    "mountains": ("over the mountains", "above the mountains", "in front of mountains"),
    "sea": ("over the sea", "above the sea", "over the ocean", "above the beach"),
    "lake": ("over a lake", "above a lake", "by a lake"),
    "desert": ("over the desert", "above the desert", "above sand dunes"),
    "forest": ("over a forest", "above the forest", "over the woods"),
}
SHORT_TERRAINS: dict[Terrain, tuple[str, ...]] = {
    "meadow": ("meadow", "meadow", "grassy field", "rolling hills"),
    "mountains": ("mountains", "mountains", "mountain landscape"),
    "sea": ("sea", "sea", "ocean", "beach", "seaside"),
    "lake": ("lake", "lake", "lakeside"),
    "desert": ("desert", "desert", "sand dunes"),
    "forest": ("forest", "forest", "woods"),
}
VIEWS: dict[Terrain, tuple[str, ...]] = {
    "meadow": ("a meadow", "a grassy field", "rolling hills"),
    "mountains": ("mountains", "the mountains", "a mountain landscape"),
    "sea": ("the sea", "a beach", "the ocean"),
    "lake": ("a lake", "the shore of a lake"),
    "desert": ("a desert", "the desert", "sand dunes"),
    "forest": ("a forest", "the woods", "the edge of a forest"),
}
PREFIXES = (
    "a picture-book painting of", "a picture book illustration of", "a painting of", "an illustration of",
    "a picture of", "a photo of", "a storybook painting of", "a drawing of", "a landscape with", "a scene with",
)  # fmt: skip
INK_PREFIXES = (
    "an ink drawing of", "an ink drawing of", "an ink sketch of",
    "a pen and ink drawing of", "an ink and wash drawing of",
)  # fmt: skip
INK_SUFFIXES = ("ink drawing", "in ink", "pen and ink", "ink and wash")
GLUE = ("a", "an", "and", "are", "is", "there")


def write(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """The chosen facts as an English caption."""
    form = rng.choices((_telegraph, _phrase, _sentence), weights=(22, 50, 28))[0]
    return _dressed(form(scene, said, rng), rng)


def _dressed(text: str, rng: random.Random) -> str:
    """Capitals and full stops as people use them."""
    if rng.random() < 0.45:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.35:
        text += "."
    return text


def _noun(subject: Subject, rng: random.Random) -> str:
    one, many = rng.choice(NOUNS[subject.kind])
    return one if subject.count == 1 else many


def _thing(scene: Scene, i: int, said: frozenset[str], rng: random.Random, *, article: bool = True) -> str:
    """ "two small red houses" """
    subject = scene.subjects[i]
    words = []
    if subject.count > 1 or article:
        words.append(rng.choice(COUNTS[subject.count]))
    if f"size:{i}" in said:
        words.append(rng.choice(SIZES[subject.size]))
    if f"colour:{i}" in said:
        words.append(rng.choice(COLOURS[subject.colour]))
    words.append(_noun(subject, rng))
    if words[0] == "a" and words[1][0] in "aeiou":
        words[0] = "an"
    return " ".join(words)


def _telegraph(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "red house left, night, snow" """
    things = []
    for i, subject in enumerate(scene.subjects):
        thing = _thing(scene, i, said, rng, article=False)
        if f"place:{i}" in said:
            thing += " " + rng.choice(SHORT_PLACES[subject.place])
        things.append(thing)
    setting = []
    if "time" in said:
        setting.append(rng.choice(SHORT_TIMES[scene.time]))
    if "weather" in said:
        setting.append(rng.choice(SHORT_WEATHERS[scene.weather]))
    if "terrain" in said:
        setting.append(rng.choice(SHORT_TERRAINS[scene.terrain]))
    if "style" in said:
        setting.append(rng.choice(INK_SUFFIXES))
    rng.shuffle(things)
    rng.shuffle(setting)
    parts = setting + things if rng.random() < 0.25 else things + setting
    return (" " if len(parts) < 3 and rng.random() < 0.2 else ", ").join(parts)


def _where(scene: Scene, rng: random.Random) -> str:
    kinds = {subject.kind for subject in scene.subjects}
    if kinds and kinds <= FLYING and rng.random() < 0.7:
        return rng.choice(ALOFT[scene.terrain])
    if kinds and kinds <= FLOATING and scene.terrain in AFLOAT:
        return rng.choice(AFLOAT[scene.terrain])
    return rng.choice(TERRAINS[scene.terrain])


def _when(scene: Scene, said: frozenset[str], rng: random.Random) -> list[str]:
    """Time and weather, as one phrase or as two."""
    time, weather = "time" in said, "weather" in said
    if time and weather and rng.random() < 0.5:
        adjective, noun = rng.choice(ADJECTIVES[scene.weather]), rng.choice(TIME_NOUNS[scene.time])
        return [f"on a {adjective} {noun}"]
    phrases = []
    if time:
        starry = scene.time == "night" and scene.weather == "clear" and rng.random() < 0.4
        phrases.append(rng.choice(CLEAR_NIGHT if starry else TIMES[scene.time]))
    if weather:
        phrases.append(rng.choice(WEATHERS[scene.weather]))
    rng.shuffle(phrases)
    return phrases


def _setting(scene: Scene, said: frozenset[str], rng: random.Random) -> list[str]:
    phrases = _when(scene, said, rng)
    if "terrain" in said:
        phrases.insert(rng.choice((0, 0, len(phrases))), _where(scene, rng))
    return phrases


def _listed(parts: list[str], rng: random.Random) -> str:
    if len(parts) < 2:
        return "".join(parts)
    if len(parts) == 2:
        return rng.choice((" and ", " and ", ", ")).join(parts)
    return ", ".join(parts[:-1]) + rng.choice((" and ", ", and ", ", ")) + parts[-1]


def _placed(scene: Scene, said: frozenset[str], rng: random.Random) -> list[str]:
    """Every thing with its place after it, or in front of it."""
    out = []
    for i, subject in enumerate(scene.subjects):
        thing = _thing(scene, i, said, rng)
        if f"place:{i}" in said:
            thing += " " + rng.choice(PLACES[subject.place])
        out.append(thing)
    rng.shuffle(out)
    return out


def _phrase(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "a red house on the left and two cats on the right, in the snow at night" """
    setting = _setting(scene, said, rng)
    prefix = ""
    if "style" in said:
        prefix = rng.choice(INK_PREFIXES) + " "
    elif rng.random() < 0.32:
        prefix = rng.choice(PREFIXES) + " "
    if not scene.subjects:
        view = rng.choice(VIEWS[scene.terrain])
        return prefix + " ".join([view, *_when(scene, said, rng)])
    body = _listed(_placed(scene, said, rng), rng)
    if not setting:
        return prefix + body
    joint = rng.choice((" ", " ", ", "))
    if not prefix and rng.random() < 0.25:
        return " ".join(setting) + ", " + body
    return prefix + body + (", " if len(scene.subjects) > 1 else joint) + joint.join(setting)


def _sentence(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "On a snowy night in the mountains, a red house stands on the left." """
    if not scene.subjects:
        return _phrase(scene, said, rng)
    clauses = []
    for i, subject in enumerate(scene.subjects):
        clauses.append(_clause(scene, i, subject, said, rng))
    rng.shuffle(clauses)
    body = _listed(clauses, rng)
    setting = " ".join(_setting(scene, said, rng))
    ink = rng.choice(INK_PREFIXES).removesuffix(" of") + (", " if setting else ": ") if "style" in said else ""
    if not setting:
        return ink + body
    return ink + setting + ", " + body if ink or rng.random() < 0.6 else body + ", " + setting


def _clause(scene: Scene, i: int, subject: Subject, said: frozenset[str], rng: random.Random) -> str:
    thing = _thing(scene, i, said, rng)
    many = subject.count > 1
    place = rng.choice(PLACES[subject.place]) if f"place:{i}" in said else ""
    roll = rng.random()
    if roll < 0.25:
        return f"there {'are' if many else 'is'} {thing} {place}".strip()
    verb = rng.choice(VERBS[subject.kind])[many]
    if place and roll < 0.45:
        return f"{place} {verb} {thing}"
    return f"{thing} {verb} {place}".strip()


def words() -> tuple[str, ...]:
    """Every word the captions use."""
    found = set(GLUE)
    tables = (SIZES, COLOURS, COUNTS, PLACES, SHORT_PLACES, TIMES, SHORT_TIMES, TIME_NOUNS, WEATHERS, SHORT_WEATHERS)
    texts = [text for table in tables for options in table.values() for text in options]
    for more in (ADJECTIVES, TERRAINS, AFLOAT, ALOFT, SHORT_TERRAINS, VIEWS):
        texts += [text for options in more.values() for text in options]
    for pairs in (NOUNS, VERBS):
        texts += [text for options in pairs.values() for pair in options for text in pair]
    for text in (*texts, *CLEAR_NIGHT, *PREFIXES, *INK_PREFIXES, *INK_SUFFIXES):
        found |= set(split(text))
    return tuple(sorted(found))


def split(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return re.findall(r"[a-z0-9-]+", text.lower())
