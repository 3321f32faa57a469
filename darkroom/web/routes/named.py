"""A small body with the values that a route names, no fewer and no more, each of its own type.

Must not know: what the values mean.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from darkroom.errors import InvalidRequest
from darkroom.request import problems_of
from darkroom.web.routes.body import read_values

LARGEST = 2**20


class Named(BaseModel):
    """What is not named is refused: it may be a slip of the pen."""

    model_config = ConfigDict(strict=True, extra="forbid")


NamedValues = TypeVar("NamedValues", bound=Named)


def read_as(kind: type[NamedValues]) -> Callable[[Request], Awaitable[NamedValues]]:
    """For Depends."""

    async def read(request: Request) -> NamedValues:
        values = await read_values(request, LARGEST)
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            raise InvalidRequest(*problems_of(error)) from error

    return read


def described(kind: type[Named]) -> dict[str, Any]:
    """The body, for OpenAPI."""
    schema = kind.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
