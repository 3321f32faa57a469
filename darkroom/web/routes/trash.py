"""The trash as a whole: how much lies in it, and emptying it. Must not know: single pictures."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from darkroom.history.library import Library

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def trash_routes(library: Library) -> APIRouter:
    router = APIRouter(prefix="/api/trash")

    @router.get("")
    def trash() -> dict[str, Any]:
        """`seen_at`, in microseconds since 1970, is what emptying it asks for."""
        found = library.trash()
        return {"pictures": found.pictures, "bytes": found.bytes, "seen_at": (found.seen_at - BEGIN) // MICROSECOND}

    @router.delete("")
    def empty(seen_at: Annotated[int, Query(ge=0, le=2**53)]) -> dict[str, int]:
        """For good, what lay in it at that moment: what a person has not been told of stays."""
        return {"removed": library.empty_trash(BEGIN + seen_at * MICROSECOND)}

    return router
