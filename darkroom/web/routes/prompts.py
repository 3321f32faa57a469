"""Prompts that were used before, for picking one again. Must not know: pictures."""

from typing import Annotated

from fastapi import APIRouter, Query

from darkroom.history.library import Library

MOST_PROMPTS = 50
LONGEST_WORDS = 1000


def prompt_routes(library: Library) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/prompts")
    def prompts(
        q: Annotated[str, Query(max_length=LONGEST_WORDS)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_PROMPTS)] = MOST_PROMPTS,
    ) -> dict[str, list[str]]:
        """Newest first, none twice."""
        return {"prompts": list(library.recent_prompts(words=q, limit=limit))}

    return router
