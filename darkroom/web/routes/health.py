"""Is the server there: for people, containers and tests. Must not know: anything about jobs."""

from fastapi import APIRouter

from darkroom import __version__
from darkroom.jobs.supervisor import Supervisor


def health_routes(supervisor: Supervisor) -> APIRouter:
    router = APIRouter()

    @router.api_route("/health", methods=["GET", "HEAD"])
    def health() -> dict[str, str | None]:
        return {"status": "ok", "version": __version__, "engine": supervisor.engine_device()}

    return router
