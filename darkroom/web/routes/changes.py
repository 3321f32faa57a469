"""What a person does with a finished picture: star it, throw it away, bring it back, make it again.

Must not know: files, or how a job runs.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.again import How, again
from darkroom.web.models import Models
from darkroom.web.picture_views import tile_view
from darkroom.web.routes.asking import Client, RowId, WordsOf
from darkroom.web.views import job_view


def change_routes(
    models: Models, queue: JobQueue, library: Library, supervisor: Supervisor, words_of: WordsOf
) -> APIRouter:
    router = APIRouter(prefix="/api/pictures")

    @router.put("/{picture}/star")
    def star(picture: RowId, request: Request) -> dict[str, Any]:
        return tile_view(library.star(picture, True), words_of(request))

    @router.delete("/{picture}/star")
    def unstar(picture: RowId, request: Request) -> dict[str, Any]:
        return tile_view(library.star(picture, False), words_of(request))

    @router.delete("/{picture}")
    def delete(picture: RowId, request: Request) -> dict[str, Any]:
        """Into the trash."""
        return tile_view(library.delete(picture), words_of(request))

    @router.post("/{picture}/restore")
    def restore(picture: RowId, request: Request) -> dict[str, Any]:
        return tile_view(library.restore(picture), words_of(request))

    @router.post("/{picture}/purge")
    def purge(picture: RowId) -> Response:
        """For good, and only out of the trash."""
        library.purge(picture)
        return Response(status_code=204)

    @router.post("/{picture}/again")
    def make_again(picture: RowId, request: Request, client: Client, how: How = "same") -> dict[str, Any]:
        """The new job, waiting."""
        job = queue.submit(again(library.get(picture).request, how, models), client=client)
        supervisor.wake()
        return job_view(supervisor.status(job.id), words_of(request))

    return router
