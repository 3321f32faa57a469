"""What a program or the page sends: named values as JSON, or a file, and no more of it than there can be use for.

Must not know: what the values mean.
"""

import json
from typing import Annotated, Any

from fastapi import Depends, Request

from darkroom.errors import InvalidRequest, Problem, shown

LARGEST_VALUES = 4 * 2**20
AN_OBJECT = "a JSON object with values by name"


async def read_body(request: Request, most: int) -> bytes:
    """Raises InvalidRequest as soon as there is more than `most` bytes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            size = f"{most / 2**20:g} MiB" if most >= 2**20 else f"{most / 2**10:g} KiB"
            raise InvalidRequest(Problem(field="body", value=f"more than {size}", allowed=f"at most {size} of data"))
    return bytes(body)


async def read_values(request: Request, most: int) -> dict[str, Any]:
    """Raises InvalidRequest."""
    body = await read_body(request, most)
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        text = body[:200].decode("utf-8", "replace")
        raise InvalidRequest(Problem(field="body", value=shown(text), allowed=AN_OBJECT)) from error
    if not isinstance(values, dict):
        raise InvalidRequest(Problem(field="body", value=shown(values), allowed=AN_OBJECT))
    return values


async def _read_values(request: Request) -> dict[str, Any]:
    return await read_values(request, LARGEST_VALUES)


Values = Annotated[dict[str, Any], Depends(_read_values)]


def truth_of(values: dict[str, Any], field: str) -> bool:
    """A value that must be true or false; missing is false. Raises InvalidRequest."""
    value = values.get(field, False)
    if not isinstance(value, bool):
        raise InvalidRequest(Problem(field=field, value=shown(value), allowed="true or false"))
    return value


def text_of(values: dict[str, Any], field: str) -> str:
    """A value that must be text; missing is empty. Raises InvalidRequest."""
    value = values.get(field, "")
    if not isinstance(value, str):
        raise InvalidRequest(Problem(field=field, value=shown(value), allowed="text"))
    return value
