"""Styles: listing them, putting them into a prompt, and a person's own: kept, changed, removed, imported.

A style's name travels in the body: it may hold any character. Must not know: where styles are kept.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from darkroom.prompts.style_files import LARGEST_FILE
from darkroom.prompts.styles import ImportReport, Skipped, Style, StyleBook, apply, apply_negative, make_style
from darkroom.web.routes.asking import ProblemWordsOf, WordsOf
from darkroom.web.routes.body import Values, read_body, text_of, truth_of
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords

MOST_LINES = 6


async def _read_file(request: Request) -> bytes:
    return await read_body(request, LARGEST_FILE)


StyleFile = Annotated[bytes, Depends(_read_file)]


def style_routes(book: StyleBook, words_of: WordsOf, problem_words_of: ProblemWordsOf) -> APIRouter:
    router = APIRouter(prefix="/api/styles")

    @router.get("")
    def styles() -> dict[str, Any]:
        return {"styles": [style.model_dump() for style in book.styles()]}

    @router.post("/apply")
    def insert(values: Values) -> dict[str, str]:
        """The prompt with the style `name` in it, as text that can be edited on. `lines`: each line is a prompt."""
        style = book.get(text_of(values, "name"))
        return {
            "prompt": apply([style], text_of(values, "prompt"), each_line=truth_of(values, "lines")),
            "negative_prompt": apply_negative([style], text_of(values, "negative_prompt")),
        }

    @router.post("", status_code=201)
    def add(values: Values) -> dict[str, Any]:
        style = make_style(values)
        book.add(style)
        return {"style": style.model_dump()}

    @router.post("/change")
    def change(values: Values) -> dict[str, Any]:
        """`was` is the name it had."""
        style = make_style(_without(values, "was"))
        book.change(text_of(values, "was"), style)
        return {"style": style.model_dump()}

    @router.post("/remove")
    def remove(values: Values) -> dict[str, Style]:
        """What was removed comes back, so that it can be added again."""
        style = book.get(text_of(values, "name"))
        book.remove(style.name)
        return {"style": style}

    @router.post("/import")
    def import_file(content: StyleFile, request: Request) -> dict[str, Any]:
        """The body is the file: styles.csv of A1111 or Forge, or the JSON of Fooocus."""
        report = book.import_file(content)
        return {
            "added": list(report.added),
            "skipped": len(report.skipped),
            "lines": _lines(report, words_of(request), problem_words_of(request)),
        }

    return router


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _lines(report: ImportReport, words: Words, problems: ProblemWords) -> list[str]:
    """What happened, as sentences: first the sum, then what was left out."""
    sentences = [words.say("styles.imported", count=len(report.added))]
    sentences += [_line(skipped, words, problems) for skipped in report.skipped[:MOST_LINES]]
    rest = len(report.skipped) - MOST_LINES
    return [*sentences, words.say("styles.more_skipped", count=rest)] if rest > 0 else sentences


def _line(skipped: Skipped, words: Words, problems: ProblemWords) -> str:
    why = words.say(f"styles.skipped.{skipped.reason}")
    if skipped.problem is not None:
        why = problems.sentences([skipped.problem])[0]
    name = skipped.name or words.say("styles.no_name")
    return words.say("styles.left_out", name=name, why=why)
