"""Pictures as the page's scripts see them: JSON values, words included. Must not know: routes or components."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from darkroom.downloads.transfer import room
from darkroom.history.library import Picture
from darkroom.origins import BYTES, FILE, SHA256, TITLE, Facts, loras_of
from darkroom.web.models import Titles
from darkroom.web.words import Words

LONGEST_TITLE = 120
LONGEST_SLUG = 48
SHORT_SHA256 = 12
NO_LETTERS = re.compile(r"[\W_]+")


def tile_view(picture: Picture, words: Words) -> dict[str, Any]:
    """As little as a thumbnail needs: a page of the history has many."""
    return {
        "id": picture.id,
        "thumbnail": f"/thumbs/{picture.id}?{_version(picture)}",
        "width": picture.width,
        "height": picture.height,
        "title": _title(picture, words),
        "starred": picture.starred,
        "seed": picture.request.seed,
    }


def picture_view(
    picture: Picture, words: Words, titles: Titles, *, facts: Facts | None = None, can_be_finer: bool = False
) -> dict[str, Any]:
    """`rows` are what the detail view lists, in order, as pairs of words. `facts` are those that are known by now."""
    facts = picture.facts if facts is None else facts
    return {
        **tile_view(picture, words),
        "picture": f"/pictures/{picture.id}?{_version(picture)}",
        "name": download_name(picture),
        "created_at": picture.created_at.isoformat(),
        "in_trash": picture.deleted_at is not None,
        "request": picture.request.model_dump(mode="json"),
        "facts": dict(facts),
        "took": _took(picture, words),
        "rows": [
            *request_rows(picture.request.model_dump(), words, titles, str(facts.get(TITLE, ""))),
            *_fact_rows(picture, facts, words),
        ],
        "can_be_finer": can_be_finer,
    }


def download_name(picture: Picture) -> str:
    """Number, the prompt's first words, seed: sorts by number, and is found again by its words."""
    slug = NO_LETTERS.sub("-", picture.request.prompt[: LONGEST_SLUG * 2]).strip("-").lower()
    if len(slug) > LONGEST_SLUG:
        slug = slug[:LONGEST_SLUG].rpartition("-")[0] or slug[:LONGEST_SLUG]
    parts = ("darkroom", f"{picture.id:06d}", slug, str(picture.request.seed))
    return "-".join(part for part in parts if part) + ".png"


def request_rows(values: dict[str, Any], words: Words, titles: Titles, model_title: str = "") -> list[tuple[str, str]]:
    """A request's values, or some of them, as a person reads them. The prompt is shown elsewhere.

    `model_title` is what a model was called that may be gone.
    """
    rows: list[tuple[str, str]] = []
    if values.get("negative_prompt"):
        rows.append((words.say("fields.negative_prompt"), values["negative_prompt"]))
    if "seed" in values:
        rows.append((words.say("fields.seed"), str(values["seed"])))
    if "steps" in values:
        rows.append((words.say("fields.steps"), str(values["steps"])))
    if "guidance" in values:
        rows.append((words.say("fields.guidance"), f"{values['guidance']:g}"))
    if "width" in values and "height" in values:
        size = words.say("history.size_value", width=values["width"], height=values["height"])
        rows.append((words.say("history.size"), size))
    if "cfg_scale" in values:
        rows.append((words.say("fields.cfg_scale"), f"{values['cfg_scale']:g}"))
    if values.get("loras"):
        loras = (f"{use['name']} × {use['weight']:g}" for use in values["loras"])
        rows.append((words.say("fields.loras"), ", ".join(loras)))
    if values.get("step_cache"):
        rows.append((words.say("fields.step_cache"), f"{values['step_cache']:g}"))
    if values.get("prompt_tokens"):
        rows.append((words.say("fields.prompt_tokens"), str(values["prompt_tokens"])))
    if "model" in values:
        rows.append((words.say("fields.model"), titles(values["model"], model_title)))
    return rows


def _fact_rows(picture: Picture, facts: Facts, words: Words) -> list[tuple[str, str]]:
    rows = [(words.say("history.seconds"), _took(picture, words))]
    rows.append((words.say("history.memory"), _memory(facts, words)))
    for fact in ("device", "precision", "torch", "engine"):
        if fact in facts:
            rows.append((words.say(f"history.{fact}"), str(facts[fact])))
    rows.append((words.say("history.file"), picture.file))
    rows += _origin_rows(facts, words)
    return [(name, value) for name, value in rows if value]


def _origin_rows(facts: Facts, words: Words) -> Iterator[tuple[str, str]]:
    """The files that made it; of a LoRA as much of its checksum as tells it from others."""
    size = facts.get(BYTES)
    if isinstance(size, int):
        yield words.say("history.model_file"), " · ".join([*str(facts.get(FILE, "")).split("\n"), room(size)])
    yield words.say("history.model_sha256"), str(facts.get(SHA256, ""))
    loras = (" ".join(part for part in (each.name, each.sha256[:SHORT_SHA256]) if part) for each in loras_of(facts))
    yield words.say("history.lora_sha256"), ", ".join(loras)


def _memory(facts: Mapping[str, str | int | float], words: Words) -> str:
    """Of the card, beside what the plan had promised."""
    peak, promised, profile = (facts.get(name) for name in ("peak_mib", "promised_mib", "profile"))
    if not isinstance(peak, int | float):
        return ""
    if not isinstance(promised, int | float):
        return words.say("history.memory_value", mib=f"{peak:,.0f}")
    return words.say("history.memory_planned", mib=f"{peak:,.0f}", promised=f"{promised:,.0f}", profile=str(profile))


def _took(picture: Picture, words: Words) -> str:
    seconds = picture.facts.get("seconds")
    if not isinstance(seconds, int | float):
        return ""
    return words.say("history.seconds_value", seconds=f"{seconds:.1f}")


def _title(picture: Picture, words: Words) -> str:
    prompt = " ".join(picture.request.prompt[: LONGEST_TITLE * 2].split())
    if len(prompt) > LONGEST_TITLE:
        prompt = prompt[:LONGEST_TITLE] + "…"
    return words.say("history.picture", id=picture.id, prompt=prompt or words.say("history.no_prompt"))


def _version(picture: Picture) -> str:
    """The address carries the time the picture was made, so a new history never meets an old cache."""
    return f"v={int(picture.created_at.timestamp() * 1000):x}"
