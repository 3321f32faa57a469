"""What every route knows about whoever asks: their name, and the words of their language.

Must not know: jobs or pictures.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import Depends, Header, Path, Request

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.web.language import language_of
from darkroom.web.words import Language, Words
from darkroom.web.words.problems import ProblemWords

RowId = Annotated[int, Path(ge=1, le=2**63 - 1)]
CLIENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def client_named(name: str) -> str:
    """Raises InvalidRequest."""
    if name and not CLIENT_NAME.fullmatch(name):
        allowed = "up to 64 letters, digits, dots, dashes and underscores"
        raise InvalidRequest(Problem(field="Darkroom-Client", value=shown(name), allowed=allowed))
    return name


def _client_of(
    darkroom_client: Annotated[str, Header(description="Who asks: clients take turns. A name of your choice")] = "",
) -> str:
    return client_named(darkroom_client)


Client = Annotated[str, Depends(_client_of)]
LONGEST_KEY = 200
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=LONGEST_KEY,
        description="Of your choice. An order sent again with its key is taken once",
    ),
]
WordsOf = Callable[[Request], Words]
ProblemWordsOf = Callable[[Request], ProblemWords]


def words_of(words: Mapping[Language, Words], preference: Literal["auto", "en", "zh"]) -> WordsOf:
    """A function that finds the words a request is answered in: `?lang=` first."""

    def find(request: Request) -> Words:
        asked = request.query_params.get("lang")
        for language, its_words in words.items():
            if asked == language:
                return its_words
        return words[language_of(request, preference)]

    return find


def problem_words_of(
    words: Mapping[Language, Words], find: WordsOf, title: Callable[[str], str] = lambda name: name
) -> ProblemWordsOf:
    """The same for problems; models are called by their `title`."""
    of_language = {language: ProblemWords(words["en"], its_words, title) for language, its_words in words.items()}

    def find_problem_words(request: Request) -> ProblemWords:
        return of_language[find(request).language]

    return find_problem_words
