"""Which pictures a person is looking at, as conditions on rows.

Must not know: how many are shown at once, or who looks at them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.history.tables import KEPT, STARRED, TRASH, PictureRow
from darkroom.request import unprintable

LONGEST_SEARCH = 200


@dataclass(frozen=True, kw_only=True)
class Search:
    """Pictures with each of the words in the prompt or the negative prompt; those in the trash, or those that are not.

    Words are parts of text, in any order; capital letters do not matter, in any alphabet.
    """

    words: str = ""
    starred: bool = False
    trash: bool = False

    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Raises InvalidRequest when the words cannot be a search."""
        texts = (PictureRow.prompt, PictureRow.negative_prompt)
        return (
            *self._lists(),
            *(or_(*(text.icontains(word, autoescape=True) for text in texts)) for word in split(self.words)),
        )

    def _lists(self) -> Iterator[ColumnElement[bool]]:
        if self.trash:
            yield TRASH
            if self.starred:
                yield PictureRow.starred.is_(True)
        else:
            yield STARRED if self.starred else KEPT


def split(words: str) -> tuple[str, ...]:
    """The different words of a search. Raises InvalidRequest when it cannot be one."""
    if len(words) > LONGEST_SEARCH or any(unprintable(character) for character in words):
        allowed = f"at most {LONGEST_SEARCH} characters of plain text"
        raise InvalidRequest(Problem(field="words", value=shown(words), allowed=allowed))
    return tuple(dict.fromkeys(words.split()))
