"""Darkroom's mark, as the icon of the page. Must not know: anything else."""

from fastapi import APIRouter, Response

from darkroom.web.static import static_text


def mark_routes() -> APIRouter:
    router = APIRouter()
    svg = static_text("mark.svg")

    @router.get("/mark.svg")
    @router.get("/favicon.ico")
    def mark() -> Response:
        return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    return router
