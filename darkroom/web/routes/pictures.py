"""Finished pictures: the stored files themselves, their thumbnails, and pages of the history.

Must not know: how files are named or rows stored.
"""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from darkroom.history.library import Library
from darkroom.web.routes.asking import RowId, WordsOf
from darkroom.web.views import download_name, picture_view

# The address carries the time the picture was made, so a new history never meets an old cache.
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
LARGEST_PAGE = 100
LONGEST_SEARCH = 1000


def picture_routes(library: Library, words_of: WordsOf) -> APIRouter:
    router = APIRouter()

    @router.get("/pictures/{picture}")
    def picture_file(picture: RowId) -> FileResponse:
        name = download_name(library.get(picture))
        return FileResponse(
            library.picture_path(picture),
            media_type="image/png",
            filename=name,
            content_disposition_type="inline",
            headers=FOREVER,
        )

    @router.get("/thumbs/{picture}")
    def thumbnail(picture: RowId) -> FileResponse:
        path = library.thumbnail_path(picture)
        return FileResponse(path, media_type=_media_type(path), headers=FOREVER)

    @router.get("/api/pictures/{picture}")
    def one(picture: RowId, request: Request) -> dict[str, Any]:
        return picture_view(library.get(picture), words_of(request))

    @router.get("/api/history")
    def page(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 48,
        q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    ) -> dict[str, Any]:
        found = library.page(before=before, limit=limit, words=q)
        words = words_of(request)
        return {
            "pictures": [picture_view(picture, words) for picture in found],
            "next": found[-1].id if len(found) == limit else None,
        }

    return router


def _media_type(path: Path) -> str:
    return {".png": "image/png", ".webp": "image/webp"}.get(path.suffix, "image/jpeg")
