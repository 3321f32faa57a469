"""What a person does with a finished picture: star it, throw it away, bring it back, make it again.

Must not know: files, or how a job runs.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.origins import Origins
from darkroom.web.again import How, again, differences
from darkroom.web.loras import LoraReader
from darkroom.web.picture_views import tile_view
from darkroom.web.routes.asking import Client, RowId, WordsOf
from darkroom.web.views import job_view


def change_routes(
    loras: LoraReader, queue: JobQueue, library: Library, origins: Origins, supervisor: Supervisor, words_of: WordsOf
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
        """The new job, waiting. `differences` are sentences about files that are other ones than then."""
        found, words = library.get(picture), words_of(request)
        job = queue.submit(again(found.request, how, loras), client=client)
        supervisor.wake()
        return job_view(supervisor.status(job.id), words) | {"differences": differences(found, origins, words)}

    return router
