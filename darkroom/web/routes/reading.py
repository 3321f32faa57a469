"""A picture file that a person dropped: what it says of its making. It is looked at and forgotten.

Must not know: how each tool writes, or the form.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from darkroom.catalog import ModelEntry
from darkroom.errors import shown
from darkroom.history.metadata.found import FoundModel, Reason
from darkroom.history.metadata.read import FoundParameters, UnusedParameter, read_parameters
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models, Titles
from darkroom.web.picture_views import request_rows
from darkroom.web.routes.asking import ProblemWordsOf, WordsOf
from darkroom.web.routes.body import read_body
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords

LARGEST_PICTURE = 64 * 2**20


def reading_routes(loras: LoraReader, words_of: WordsOf, problem_words_of: ProblemWordsOf) -> APIRouter:
    router = APIRouter()
    models = loras.models

    def meant(found: FoundParameters, form_model: str) -> FoundParameters:
        """With its model if that is here, and those of its LoRAs that are, for the model they would be used with."""
        entry, unknown = _model_of(found, models)
        values = {field: value for field, value in found.values.items() if field != "model"}
        if entry is not None:
            values["model"] = entry.name
        known = loras.meant(found.loras, entry or models.get(form_model) or models.first)
        # None is a value too: it takes those of the form away.
        values.setdefault("loras", [use.model_dump() for use in known.uses])
        return replace(found, values=values, unused=(*unknown, *known.unused, *found.unused))

    @router.post("/api/read", response_model=None)
    async def read(
        request: Request, model: Annotated[str, Query(max_length=100)] = ""
    ) -> dict[str, Any] | JSONResponse:
        """The body is the file, `model` what the form has now."""
        words = words_of(request)
        with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
            path = Path(folder) / "dropped"
            path.write_bytes(await read_body(request, LARGEST_PICTURE))
            found = await run_in_threadpool(read_parameters, path)
        if found is None:
            refusal = {"error": "no_parameters", "words": words.say("refused.no_parameters")}
            return JSONResponse(refusal, status_code=422)
        found = await run_in_threadpool(meant, found, model)
        return _view(found, models.title, words, problem_words_of(request))

    return router


def _model_of(found: FoundParameters, models: Models) -> tuple[ModelEntry | None, tuple[UnusedParameter, ...]]:
    """The first that is here, and what to say of the others."""
    named = found.models
    if isinstance(own := found.values.get("model"), str):
        if (entry := models.get(own)) is not None:
            return entry, ()
        named = (FoundModel(name=own, said="Model"), *named)
    used: ModelEntry | None = None
    unused: list[UnusedParameter] = []
    for model in named:
        entry = models.meant(model.name)
        used = used or entry
        if entry is None or entry != used:
            reason: Reason = "unknown_model" if entry is None else "unclear"
            unused.append(UnusedParameter(name=model.said, value=shown(model.name), reason=reason))
    return used, tuple(unused)


def _view(found: FoundParameters, titles: Titles, words: Words, problems: ProblemWords) -> dict[str, Any]:
    values = dict(found.values)
    return {
        "origin": found.origin,
        "values": values,
        "rows": request_rows(values, words, titles),
        "unused": [_reason(one, words, problems) for one in found.unused],
    }


def _reason(unused: UnusedParameter, words: Words, problems: ProblemWords) -> str:
    name = unused.name
    if unused.reason == "computed":
        name = words.say("history.size" if name == "size" else f"fields.{name}")
    return words.say(
        f"reuse.unused.{unused.reason}",
        name=name,
        value=unused.value or "—",
        allowed=problems.allowed(unused.allowed) if unused.allowed else "",
    )
