"""Finished pictures: the stored files themselves, their thumbnails, and pages of the history.

Must not know: how files are named or rows stored.
"""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from darkroom.history.library import Library, Order
from darkroom.history.search import LONGEST_SEARCH
from darkroom.origins import Origins
from darkroom.web.again import can_be_finer
from darkroom.web.models import Models
from darkroom.web.picture_views import download_name, picture_view, tile_view
from darkroom.web.routes.asking import RowId, WordsOf

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
LARGEST_PAGE = 200

Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Words = Annotated[str, Query(max_length=LONGEST_SEARCH)]


def picture_routes(models: Models, library: Library, origins: Origins, words_of: WordsOf) -> APIRouter:
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
    def one(
        picture: RowId, request: Request, q: Words = "", starred: bool = False, trash: bool = False
    ) -> dict[str, Any]:
        """With what stands beside it in the list that was asked for."""
        found = library.get(picture)
        beside = library.neighbours(picture, words=q, starred=starred, trash=trash)
        facts = origins.completed(found.request, found.facts)
        finer = can_be_finer(found.request, models)
        view = picture_view(found, words_of(request), models.title, facts=facts, can_be_finer=finer)
        here = found.request.model in models.names
        known = {"model_is_here": here, "file_is_whole": library.is_whole(found)}
        return {**view, **known, "newer": beside.newer, "older": beside.older}

    @router.get("/api/history")
    def page(
        request: Request,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 48,
        q: Words = "",
        order: Order = "newest",
        starred: bool = False,
        trash: bool = False,
    ) -> dict[str, Any]:
        """`total` comes with the first page only."""
        found = library.page(cursor=cursor, limit=limit, words=q, order=order, starred=starred, trash=trash)
        words = words_of(request)
        return {
            "pictures": [tile_view(picture, words) for picture in found],
            "next": found[-1].id if len(found) == limit else None,
            "total": library.count(words=q, starred=starred, trash=trash) if cursor is None else None,
        }

    return router


def _media_type(path: Path) -> str:
    return {".png": "image/png", ".webp": "image/webp"}.get(path.suffix, "image/jpeg")
