"""Numbers of many pictures: in a body as a list, in an address as "3-7,12". Must not know: what is done with them."""

import re
from typing import Annotated, Any

from fastapi import Depends

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.web.routes.body import Values

MOST_AT_ONCE = 20_000
LARGEST = 2**63 - 1
SPAN = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


def _of_body(values: Values) -> tuple[int, ...]:
    ids = values.get("ids")
    if not isinstance(ids, list):
        raise _refused(ids)
    if not 1 <= len(ids) <= MOST_AT_ONCE:
        raise _refused(len(ids))
    for id in ids:
        if not _is_number(id):
            raise _refused(id)
    return tuple(ids)


def spans(text: str) -> tuple[int, ...]:
    """The numbers of "3-7,12". Raises InvalidRequest."""
    found: list[int] = []
    for part in text.split(","):
        match = SPAN.fullmatch(part)
        if match is None:
            raise _refused(part)
        first = int(match[1])
        last = int(match[2] or first)
        if not 1 <= first <= last <= LARGEST:
            raise _refused(part)
        if (many := len(found) + last - first + 1) > MOST_AT_ONCE:
            raise _refused(many)
        found += range(first, last + 1)
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST


def _refused(value: object) -> InvalidRequest:
    return InvalidRequest(Problem(field="ids", value=shown(value), allowed=f"1 to {MOST_AT_ONCE} numbers of pictures"))


Ids = Annotated[tuple[int, ...], Depends(_of_body)]
