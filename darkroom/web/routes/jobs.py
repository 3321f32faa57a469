"""The jobs that are not finished, and one job's status, preview and stop. Must not know: how a job runs."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from darkroom.errors import NotFound
from darkroom.history.library import Library
from darkroom.jobs.ledger import UNFINISHED
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.queue_views import left_in_words, queue_view, whose
from darkroom.web.routes.asking import Client, RowId, WordsOf
from darkroom.web.views import job_view, waiting_view

MOST_SHOWN = 500
FAILURES_SHOWN = 10
MOST_ENDS = 200

Limit = Annotated[int, Query(ge=1, le=MOST_SHOWN)]
RowIds = Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Query(max_length=MOST_ENDS)]


def job_routes(queue: JobQueue, library: Library, supervisor: Supervisor, words_of: WordsOf) -> APIRouter:
    router = APIRouter(prefix="/api/jobs")

    @router.get("")
    def unfinished(request: Request, client: Client, limit: Limit = 24, failed: bool = False) -> dict[str, Any]:
        """Whoever asked for them; with `failed`, those that failed last too. `newest` numbers the last picture.

        Pages ask this several times a second, so only a job that is being made is looked at closely.
        """
        seen, words = queue.overview(limit), words_of(request)
        ahead = seen.ahead()
        views = []
        for job in seen.jobs:
            if job.state == "waiting":
                view = waiting_view(job, ahead[job.id], words, supervisor.whole(job))
            else:
                view = job_view(supervisor.status(job.id), words)
            views.append(view | whose(job, client, words))
        failures = queue.page(states=["failed"], limit=FAILURES_SHOWN) if failed else ()
        return {
            "jobs": views,
            "ids": seen.ids,
            "queue": queue_view(seen.state, words, supervisor.unwritten())
            | {"left": left_in_words(seen, supervisor, words)},
            "newest": library.newest(),
            "failed": [job_view(supervisor.status(job.id), words) | whose(job, client, words) for job in failures],
        }

    @router.get("/ends")
    def ends(ids: RowIds, request: Request, client: Client) -> dict[str, Any]:
        """How these ended, in the order in which they did; which of them did not end. What is gone is left out."""
        words, ended, unfinished = words_of(request), [], []
        for id in ids:
            with suppress(NotFound):
                found = supervisor.status(id)
                if found.job.state in UNFINISHED:
                    unfinished.append(id)
                else:
                    at = {"finished_at": found.job.finished_at}
                    ended.append(job_view(found, words) | whose(found.job, client, words) | at)
        return {
            "ended": sorted(ended, key=lambda view: (str(view["finished_at"]), view["id"])),
            "unfinished": unfinished,
        }

    @router.get("/{job}")
    def status(job: RowId, request: Request, client: Client) -> dict[str, Any]:
        found, words = supervisor.status(job), words_of(request)
        return job_view(found, words) | whose(found.job, client, words)

    @router.get("/{job}/preview")
    def preview(job: RowId) -> Response:
        jpeg = supervisor.preview(job)
        return Response(jpeg, media_type="image/jpeg") if jpeg else Response(status_code=404)

    @router.post("/{job}/stop")
    def stop(job: RowId, request: Request) -> dict[str, Any]:
        supervisor.stop(job)
        return job_view(supervisor.status(job), words_of(request))

    return router
