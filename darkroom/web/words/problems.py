"""Problems and errors said in the reader's language.

`Problem.allowed` is an English phrase made by `request` and `catalog`; it is recognised by the English words and said
again in the other language. Must not know: forms or routes.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from darkroom.errors import Problem, shown
from darkroom.web.words import Words

PHRASES = (
    "last_seed",
    "pictures_most",
    "pixels_in_steps",
    "pixels",
    "size_most",
    "characters_plain",
    "characters_most",
    "characters_least",
    "items_most",
    "items_least",
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
    "off_with_true_cfg",
    "lora_here",
    "lora_tag",
    "lora_tag_once",
    "lora_whole",
    "lora_for_another",
    "lora_for",
    "lora_of_pairs_else",
    "lora_of_pairs",
    "lora_file",
    "seed",
    "whole_range",
    "number_range",
    "one_of",
    "object",
    "free_name",
    "style_words",
    "one_line",
    "style_file",
    "picture_numbers",
    "place_of_last",
    "before_or_by",
    "true_or_false",
    "key_of_its_own",
    "client_name",
)

# Of a list: "loras.0.weight".
PLACE = re.compile(r"\.\d+\.")
ITEM = re.compile(r"\.\d+(\..+)?$", re.DOTALL)

# How a field that was left empty arrives in a Problem.
EMPTY = ("None", "missing", "")


class ProblemWords:
    """Says problems in one language. `title` is what a reader sees in the place of a model's name."""

    def __init__(self, english: Words, words: Words, title: Callable[[str], str] = lambda name: name) -> None:
        self._words = words
        self._title = title
        self._phrases = tuple((key, _pattern(english.say(f"problem.allowed.{key}"))) for key in PHRASES)

    def sentences(self, problems: Iterable[Problem]) -> list[str]:
        return [self._sentence(problem) for problem in problems]

    def by_field(self, problems: Iterable[Problem]) -> dict[str, str]:
        said: dict[str, list[str]] = {}
        for problem in problems:
            said.setdefault(shown(problem.field), []).append(self._sentence(problem))
        return {field: " ".join(sentences) for field, sentences in said.items()}

    def _sentence(self, problem: Problem) -> str:
        if problem.field == "model":
            problem = self._titled(problem)
        key, values = self._phrase(problem.allowed)
        if f"problem.said.{key}" in self._words:
            return self._words.say(f"problem.said.{key}", value=problem.value, **values)
        # Of a list, what is wrong is one of its items.
        known = f"fields.{ITEM.sub('', problem.field)}"
        if f"fields.{PLACE.sub('_', problem.field)}" in self._words:
            known = f"fields.{PLACE.sub('_', problem.field)}"
        field = self._words.say(known) if known in self._words else shown(problem.field)
        allowed = self.allowed(problem.allowed)
        if problem.value in EMPTY:
            return self._words.say("problem.empty", field=field, allowed=allowed)
        return self._words.say("problem.sentence", field=field, value=problem.value, allowed=allowed)

    def allowed(self, phrase: str) -> str:
        """An unknown phrase is better said in English than not at all."""
        key, values = self._phrase(phrase)
        return self._words.say(f"problem.allowed.{key}", **values) if key else phrase

    def _titled(self, problem: Problem) -> Problem:
        key, values = self._phrase(problem.allowed)
        allowed = problem.allowed
        if key == "one_of":
            allowed = allowed.replace(values["names"], ", ".join(map(self._title, values["names"].split(", "))))
        return replace(problem, value=self._title(problem.value), allowed=allowed)

    def _phrase(self, phrase: str) -> tuple[str, dict[str, str]]:
        """The key of its words, and the values in it; nothing where it is none of ours."""
        for key, pattern in self._phrases:
            if found := pattern.fullmatch(phrase):
                return key, found.groupdict()
        return "", {}


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(template)), re.DOTALL)
