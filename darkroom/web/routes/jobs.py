"""A job's status, preview and stop. Must not know: how a job runs."""

from typing import Any

from fastapi import APIRouter, Request, Response

from darkroom.jobs.supervisor import Supervisor
from darkroom.web.routes.asking import RowId, WordsOf
from darkroom.web.views import job_view


def job_routes(supervisor: Supervisor, words_of: WordsOf) -> APIRouter:
    router = APIRouter(prefix="/api/jobs")

    @router.get("/{job}")
    def status(job: RowId, request: Request) -> dict[str, Any]:
        return job_view(supervisor.status(job), words_of(request))

    @router.get("/{job}/preview")
    def preview(job: RowId) -> Response:
        jpeg = supervisor.preview(job)
        return Response(jpeg, media_type="image/jpeg") if jpeg else Response(status_code=404)

    @router.post("/{job}/stop")
    def stop(job: RowId, request: Request) -> dict[str, Any]:
        supervisor.stop(job)
        return job_view(supervisor.status(job), words_of(request))

    return router
