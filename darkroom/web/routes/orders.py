"""Asking for pictures, and what the form would be told if it asked now. Must not know: how a job runs."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from darkroom.prompts.syntax import Finding, find_foreign_syntax
from darkroom.prompts.tokens import TokenCounter
from darkroom.request import LONGEST_PROMPT
from darkroom.web.foresight import Foresight
from darkroom.web.loras import Taken
from darkroom.web.order import Counter
from darkroom.web.prompt_views import excerpt, in_utf16, reading_of
from darkroom.web.routes.asking import Client, IdempotencyKey, ProblemWordsOf, WordsOf
from darkroom.web.routes.body import Values
from darkroom.web.words import Words

MOST_PIECES = 200
MOST_SHOWN = 3


def order_routes(
    counter: Counter, tokens: TokenCounter, foresight: Foresight, words_of: WordsOf, problem_words_of: ProblemWordsOf
) -> APIRouter:
    """What is not said has the value the form begins with."""
    router = APIRouter(prefix="/api")

    @router.post("/jobs", status_code=201)
    def order(values: Values, client: Client, idempotency_key: IdempotencyKey = None) -> dict[str, Any]:
        jobs = counter.take(values, client=client, key=idempotency_key)
        return {"jobs": [job.id for job in jobs], "seed": jobs[0].request.seed, "group": jobs[0].group}

    @router.post("/check")
    def check(values: Values, request: Request) -> dict[str, Any]:
        """`problems` by field; `notes` and `unread` are sentences about the prompt, `fit` says what it would take.
        Nothing is stored or started.

        Of several prompts, the longest is counted, and no place in it is named.
        """
        words = words_of(request)
        outlook = counter.outlook(values)
        prompt = values.get("prompt")
        written = prompt if isinstance(prompt, str) and len(prompt) <= LONGEST_PROMPT else ""
        model = counter.models.get(values.get("model")) or counter.models.first
        reading = reading_of(tokens.count(model, outlook.prompt), outlook.prompt, words)
        return {
            "problems": problem_words_of(request).by_field(outlook.problems),
            "pictures": outlook.pictures,
            "fit": foresight.of(outlook.first, outlook.pictures, words) if outlook.first else None,
            **(reading if outlook.is_one_prompt else reading | {"unread": None}),
            **_foreign(find_foreign_syntax(written), written, words),
            "loras": _loras(counter.loras.taken({"model": model.name, **values}), written),
        }

    return router


def _loras(taken: Taken | None, prompt: str) -> dict[str, Any] | None:
    """What the form does with LoRAs that the prompt names. Places are in the browser's units."""
    if taken is None:
        return None
    cuts = [
        {"start": in_utf16(prompt, cut.start), "end": in_utf16(prompt, cut.end), "text": cut.text} for cut in taken.cuts
    ]
    return {"cuts": cuts, "uses": taken.loras}


def _foreign(findings: Sequence[Finding], prompt: str, words: Words) -> dict[str, Any]:
    """A note for each kind of syntax with its first pieces, none twice, and the places of all of them."""
    found = findings[:MOST_PIECES]
    pieces = [
        {"start": in_utf16(prompt, each.start), "end": in_utf16(prompt, each.end), "text": excerpt(each.text)}
        for each in found
    ]
    of_kind: dict[str, dict[object, dict[str, Any]]] = {}
    for piece, each in zip(pieces, found, strict=True):
        of_kind.setdefault(each.kind, {}).setdefault(piece["text"], piece)
    notes = [
        {"pieces": list(its_pieces.values())[:MOST_SHOWN], "words": words.say(f"syntax.{kind}")}
        for kind, its_pieces in of_kind.items()
    ]
    return {"notes": notes, "places": pieces}
