"""How an error leaves the house: a status, a code for programs, and sentences for people in their language.

Must not know: which route raised it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from darkroom.errors import (
    DarkroomError,
    InvalidRequest,
    NotFound,
    NotPossibleNow,
    NotWritten,
    OrderGone,
    Problem,
    shown,
)
from darkroom.request import problems_of
from darkroom.web.routes.asking import ProblemWordsOf, WordsOf

PLACES = ("query", "path", "body", "header")
UNKNOWN = {404: (NotFound.code, "not_found_address"), 405: ("method_not_allowed", "not_taken")}


def say_errors(app: FastAPI, words_of: WordsOf, problem_words_of: ProblemWordsOf) -> None:
    def refusal(request: Request, problems: Iterable[Problem]) -> JSONResponse:
        """Names each field, its value and what is allowed."""
        problems = tuple(problems)
        said = problem_words_of(request)
        sentences = said.sentences(problems)
        content: dict[str, Any] = {
            "error": InvalidRequest.code,
            "words": " ".join(sentences) or words_of(request).say("refused.invalid_request"),
            "problems": [
                {"field": shown(each.field), "value": each.value, "allowed": each.allowed, "words": sentence}
                for each, sentence in zip(problems, sentences, strict=True)
            ],
        }
        return JSONResponse(content, status_code=422)

    @app.exception_handler(InvalidRequest)
    async def refuse(request: Request, error: InvalidRequest) -> JSONResponse:
        return refusal(request, error.problems)

    @app.exception_handler(RequestValidationError)
    async def refuse_address(request: Request, error: RequestValidationError) -> JSONResponse:
        return refusal(request, (_without_place(problem) for problem in problems_of(error)))

    @app.exception_handler(HTTPException)
    async def refuse_unknown(request: Request, error: HTTPException) -> JSONResponse:
        """An address that there is not, or that is not asked like this."""
        code, key = UNKNOWN.get(error.status_code, (DarkroomError.code, "error"))
        content = {"error": code, "words": words_of(request).say(f"refused.{key}")}
        return JSONResponse(content, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(DarkroomError)
    async def say(request: Request, error: DarkroomError) -> JSONResponse:
        key = f"{error.code}_{error.kind}" if isinstance(error, NotFound) else error.code
        words = words_of(request)
        word = words.say(f"refused.{key}" if f"refused.{key}" in words else "refused.error", **error.details)
        return JSONResponse({"error": error.code, "words": word}, status_code=_status_of(error))


def _status_of(error: DarkroomError) -> int:
    match error:
        case NotFound():
            return 404
        case NotPossibleNow():
            return 409
        case OrderGone():
            return 410
        case NotWritten():
            return 507 if error.reason == "full" else 503
        case _:
            return 422


def _without_place(problem: Problem) -> Problem:
    """To a person the field is "limit", not "query.limit"."""
    place, _, field = problem.field.partition(".")
    return replace(problem, field=field) if place in PLACES and field else problem
