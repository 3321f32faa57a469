"""Problems and errors said in the reader's language.

`Problem.allowed` is an English phrase made by `request` and `catalog`; it is recognised by the English words and said
again in the other language. Must not know: forms or routes.
"""

import re
from collections.abc import Iterable

from darkroom.errors import Problem, shown
from darkroom.web.words import Words

PHRASES = (
    "pixels_in_steps",
    "pixels",
    "characters_plain",
    "characters_most",
    "characters_least",
    "items_most",
    "at_least",
    "at_most",
    "multiple",
    "no_field",
    "value",
    "whole",
    "number",
    "text",
    "plain_text",
    "list",
    "file_name",
    "loras_once",
    "seed",
    "whole_range",
    "number_range",
    "one_of",
    "object",
    "free_name",
    "one_line",
    "style_file",
    "picture_numbers",
)

# Of a list: "loras.0.weight".
ITEM = re.compile(r"\.\d+(\..+)?$", re.DOTALL)

# How a field that was left empty arrives in a Problem.
EMPTY = ("None", "missing", "")


class ProblemWords:
    """Says problems in one language."""

    def __init__(self, english: Words, words: Words) -> None:
        self._words = words
        self._phrases = tuple((key, _pattern(english.say(f"problem.allowed.{key}"))) for key in PHRASES)

    def sentences(self, problems: Iterable[Problem]) -> list[str]:
        return [self._sentence(problem) for problem in problems]

    def by_field(self, problems: Iterable[Problem]) -> dict[str, str]:
        return {shown(problem.field): self._sentence(problem) for problem in problems}

    def _sentence(self, problem: Problem) -> str:
        # Of a list, what is wrong is one of its items.
        known = f"fields.{ITEM.sub('', problem.field)}"
        field = self._words.say(known) if known in self._words else shown(problem.field)
        allowed = self.allowed(problem.allowed)
        if problem.value in EMPTY:
            return self._words.say("problem.empty", field=field, allowed=allowed)
        return self._words.say("problem.sentence", field=field, value=problem.value, allowed=allowed)

    def allowed(self, phrase: str) -> str:
        """An unknown phrase is better said in English than not at all."""
        for key, pattern in self._phrases:
            found = pattern.fullmatch(phrase)
            if found:
                return self._words.say(f"problem.allowed.{key}", **found.groupdict())
        return phrase


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(template)), re.DOTALL)
