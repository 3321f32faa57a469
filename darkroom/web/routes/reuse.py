"""Parameters of a picture for the form: what a page asks for, checked again, and said where it is not possible.

Must not know: files, or how a picture's values were read.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from darkroom.errors import NotFound
from darkroom.history.library import Library
from darkroom.origins import Origins
from darkroom.web.again import differences
from darkroom.web.loras import LoraReader
from darkroom.web.reuse import CHOICES, Reuse, What, reuse
from darkroom.web.routes.asking import ProblemWordsOf, WordsOf
from darkroom.web.routes.body import Values
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords

LONGEST_ORIGIN = 60
# What brings the files that made a picture back, too.
WHOLE: tuple[What, ...] = ("all", "all_but_seed")


def reuse_routes(
    library: Library, origins: Origins, loras: LoraReader, words_of: WordsOf, problem_words_of: ProblemWordsOf
) -> APIRouter:
    router = APIRouter()

    @router.post("/api/reuse")
    def fill_in(asked: Values, request: Request) -> dict[str, Any]:
        """`{id, what}`, or `{values, origin, what}` of a file; `form_model` is what the form has now.

        `values` go into the form as they are. `said` is for when all of them do, else `title` and `lines` say why not.
        """
        words = words_of(request)
        values, said, differing = _asked_for(asked, library, origins, words)
        what = _what(asked)
        found = reuse(values, what, asked.get("form_model"), loras)
        title, lines = _message(found, differing if what in WHOLE else [], words, problem_words_of(request))
        return {"values": found.values, "said": "" if title else said, "title": title, "lines": lines}

    return router


def _asked_for(
    asked: Mapping[str, Any], library: Library, origins: Origins, words: Words
) -> tuple[Mapping[str, object], str, list[str]]:
    """The values, what to say when all of them go in, and why the next picture may differ. Raises NotFound."""
    values = asked.get("values")
    if isinstance(values, dict):
        origin = asked.get("origin")
        origin = origin[:LONGEST_ORIGIN] if isinstance(origin, str) else ""
        return values, "" if _what(asked) == "model" else words.say("reuse.filled_from", origin=origin), []
    id = asked.get("id")
    if isinstance(id, bool) or not isinstance(id, int):
        raise NotFound("picture", id)
    picture = library.get(id)
    said = words.say("reuse.filled", id=picture.id)
    return picture.request.model_dump(mode="json"), said, differences(picture, origins, words)


def _what(asked: Mapping[str, Any]) -> What:
    return next((choice for choice in CHOICES if choice == asked.get("what")), "all")


def _message(found: Reuse, differing: list[str], words: Words, problems: ProblemWords) -> tuple[str, list[str]]:
    if not found.problems:
        return words.say("reuse.differs") if differing else "", differing
    title = words.say("reuse.partly" if found.values else "reuse.nothing")
    return title, problems.sentences(found.problems) + differing
