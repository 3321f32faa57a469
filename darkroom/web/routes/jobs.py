"""The jobs that are not finished, and one job's status, preview and stop. Must not know: how a job runs."""

from typing import Any

from fastapi import APIRouter, Request, Response

from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.routes.asking import RowId, WordsOf
from darkroom.web.views import job_view, waiting_view

MOST_SHOWN = 24


def job_routes(queue: JobQueue, supervisor: Supervisor, words_of: WordsOf) -> APIRouter:
    router = APIRouter(prefix="/api/jobs")

    @router.get("")
    def unfinished(request: Request) -> dict[str, Any]:
        """Whoever asked for them. Pages ask this several times a second, so only the first job is looked at closely."""
        jobs, words = queue.unfinished(), words_of(request)
        views = [job_view(supervisor.status(job.id), words) for job in jobs[:1]]
        views += [waiting_view(job, ahead, words) for ahead, job in enumerate(jobs[1:MOST_SHOWN], start=1)]
        return {"jobs": views, "ids": [job.id for job in jobs]}

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
