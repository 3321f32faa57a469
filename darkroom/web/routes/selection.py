"""What a person does with many pictures at once. Numbers of pictures that are gone are passed over.

Must not know: files, or how pictures were chosen.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from darkroom.errors import NotFound
from darkroom.history.library import Library, Picture
from darkroom.history.search import LONGEST_SEARCH
from darkroom.web.archive import Entry, zipped
from darkroom.web.picture_views import download_name, tile_view
from darkroom.web.routes.asking import WordsOf
from darkroom.web.routes.numbers import Ids, spans

LONGEST_ADDRESS = 14_000


def selection_routes(library: Library, words_of: WordsOf) -> APIRouter:
    router = APIRouter()

    def tiles(pictures: Sequence[Picture], request: Request) -> dict[str, Any]:
        words = words_of(request)
        return {"pictures": [tile_view(picture, words) for picture in pictures]}

    changes: dict[str, Callable[[Sequence[int]], Sequence[Picture]]] = {
        "star": lambda ids: library.star_all(ids, True),
        "unstar": lambda ids: library.star_all(ids, False),
        "trash": library.delete_all,
        "restore": library.restore_all,
    }
    for name, change in changes.items():
        router.add_api_route(f"/api/selection/{name}", _changing(change, tiles), methods=["POST"])

    @router.post("/api/selection/purge")
    def purge(ids: Ids) -> dict[str, Any]:
        """For good, and only those in the trash."""
        return {"pictures": [{"id": id} for id in library.purge_all(ids)]}

    @router.get("/api/selection")
    def everything(
        q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "", starred: bool = False, trash: bool = False
    ) -> dict[str, Any]:
        """The numbers of all pictures of a list, and of those among them that have a star."""
        ids = library.ids(words=q, starred=starred, trash=trash)
        return {"ids": ids, "starred": ids if starred else library.ids(words=q, starred=True, trash=trash)}

    @router.get("/pictures.zip")
    def archive(ids: Annotated[str, Query(max_length=LONGEST_ADDRESS)], request: Request) -> StreamingResponse:
        """The stored files, byte for byte. `ids` is like "3-7,12"."""
        pictures = library.some(spans(ids))
        entries = _entries(pictures)
        if not any(entry.path.is_file() for entry in entries):
            raise NotFound("picture", ids)
        name = f"darkroom-{pictures[-1].id:06d}-{pictures[0].id:06d}.zip"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        content = zipped(entries, words_of(request).say("history.missing"))
        return StreamingResponse(content, media_type="application/zip", headers=headers)

    def _entries(pictures: Sequence[Picture]) -> list[Entry]:
        return [
            Entry(name=download_name(picture), path=library.path_of(picture), made_at=picture.created_at)
            for picture in pictures
        ]

    return router


def _changing(
    change: Callable[[Sequence[int]], Sequence[Picture]], tiles: Callable[[Sequence[Picture], Request], dict[str, Any]]
) -> Callable[[Ids, Request], dict[str, Any]]:
    def route(ids: Ids, request: Request) -> dict[str, Any]:
        return tiles(change(ids), request)

    return route
