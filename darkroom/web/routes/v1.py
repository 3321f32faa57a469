"""The API for programs, /api/v1: the same orders, rules and errors as the page's, under names that stay.

Must not know: how a job runs, or how the page looks.
"""

import asyncio
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute

from darkroom import __version__
from darkroom.errors import InvalidRequest, NotFound, Problem, shown
from darkroom.history.library import Library, Order
from darkroom.history.search import LONGEST_SEARCH
from darkroom.jobs.queue import Change, JobQueue, State
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.order import Counter
from darkroom.web.picture_views import download_name
from darkroom.web.refusals import say_errors
from darkroom.web.routes.asking import Client, IdempotencyKey, ProblemWordsOf, RowId, WordsOf
from darkroom.web.routes.body import Values
from darkroom.web.routes.queue import change_routes, many_routes, queue_routes
from darkroom.web.routes.v1_docs import docs_routes, order_schema
from darkroom.web.routes.v1_models import (
    EventList,
    JobList,
    JobView,
    OrderView,
    PictureList,
    PictureView,
    Refusal,
    one_view,
    picture_view_of,
    views_of,
)
from darkroom.web.words import Words

PREFIX = "/api/v1"
LARGEST_PAGE = 200
LONGEST_WAIT = 30.0
LOOK_AGAIN = 0.2
LARGEST_PLACE = 10**18 - 1
CHANGE = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "It does not exist"},
    409: {"model": Refusal, "description": "Its state does not allow this"},
    410: {"model": Refusal, "description": "It is an order of before, and its pictures have been removed for good"},
    422: {"model": Refusal, "description": "A value is not allowed; `problems` names each"},
    503: {"model": Refusal, "description": "The history cannot be written to just now"},
    507: {"model": Refusal, "description": "The disk is full"},
}

Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


def create_v1(
    counter: Counter,
    queue: JobQueue,
    library: Library,
    supervisor: Supervisor,
    english: Words,
    words_of: WordsOf,
    problem_words_of: ProblemWordsOf,
) -> FastAPI:
    """An application of its own, to be mounted at PREFIX. The name of a route is the name of its operation."""
    app = FastAPI(
        title="Darkroom",
        version=__version__,
        summary="Pictures by FLUX.1, from your own machine",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        responses=REFUSALS,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(_orders(counter, queue, library, supervisor))
    app.include_router(_events(queue, supervisor))
    app.include_router(queue_routes(queue, supervisor))
    app.include_router(many_routes(queue, supervisor, library.checkpoints))
    app.include_router(change_routes(queue, supervisor))
    app.include_router(_pictures(library))
    app.include_router(docs_routes(app, english, words_of))
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            route.summary = english.say(f"api.do.{route.name}")
    say_errors(app, words_of, problem_words_of)
    return app


def _orders(counter: Counter, queue: JobQueue, library: Library, supervisor: Supervisor) -> APIRouter:
    router = APIRouter()

    @router.post("/jobs", status_code=201, openapi_extra=order_schema())
    def submit(values: Values, client: Client, idempotency_key: IdempotencyKey = None) -> OrderView:
        jobs = counter.take(values, client=client, key=idempotency_key)
        return OrderView(jobs=views_of(jobs, supervisor, queue.overview(0).ahead()), group=jobs[0].group)

    @router.get("/jobs")
    def list_jobs(
        state: Annotated[list[State], Query()] = [],  # noqa: B006 (FastAPI copies it)
        client: str | None = None,
        group: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> JobList:
        found = queue.page(cursor=cursor, limit=limit, states=state, client=client, group=group)
        following = found[-1].id if len(found) == limit else None
        return JobList(jobs=views_of(found, supervisor, queue.overview(0).ahead()), next=following)

    @router.get("/jobs/{job}")
    def job(job: RowId) -> JobView:
        return one_view(job, supervisor)

    @router.get("/jobs/{job}/preview", response_class=Response, responses=_file("image/jpeg"))
    def preview(job: RowId) -> Response:
        jpeg = supervisor.preview(job)
        if jpeg is None:
            raise NotFound("picture", f"preview of job {job}")
        return Response(jpeg, media_type="image/jpeg")

    @router.get("/jobs/{job}/picture", response_class=FileResponse, responses=_file("image/png"))
    def job_picture(job: RowId) -> FileResponse:
        picture = queue.get(job).picture
        if picture is None:
            raise NotFound("picture", f"of job {job}")
        return _png(library, picture)

    return router


def _events(queue: JobQueue, supervisor: Supervisor) -> APIRouter:
    router = APIRouter()

    def since(after: str, limit: int) -> tuple[Change, ...]:
        number, job = _place(after)
        return queue.changes(after=number, after_job=job, limit=limit)

    def told(found: tuple[Change, ...], after: str) -> EventList:
        place = f"{found[-1].number}.{found[-1].job.id}" if found else after
        jobs = [change.job for change in found]
        return EventList(events=views_of(jobs, supervisor, queue.overview(0).ahead()), after=place)

    @router.get("/events")
    async def events(
        after: Annotated[str | None, Query(max_length=40, description="`after` of the last answer")] = None,
        limit: Limit = 100,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for one")] = 0.0,
    ) -> EventList:
        """A job that changed twice meanwhile is told once, as it is now. Nothing is lost by a restart."""
        if after is None:
            return EventList(events=[], after=f"{await run_in_threadpool(queue.last_change)}.{LARGEST_PLACE}")
        clock = asyncio.get_running_loop()
        until = clock.time() + wait
        while True:
            found = await run_in_threadpool(since, after, limit)
            if found or clock.time() >= until:
                return await run_in_threadpool(told, found, after)
            await asyncio.sleep(LOOK_AGAIN)

    return router


def _pictures(library: Library) -> APIRouter:
    router = APIRouter()

    @router.get("/history")
    def history(
        q: Annotated[str, Query(max_length=LONGEST_SEARCH, description="Words of the prompt")] = "",
        order: Order = "newest",
        starred: bool = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> PictureList:
        found = library.page(cursor=cursor, limit=limit, words=q, order=order, starred=starred)
        following = found[-1].id if len(found) == limit else None
        return PictureList(pictures=[picture_view_of(picture) for picture in found], next=following)

    @router.get("/pictures/{picture}")
    def picture(picture: RowId) -> PictureView:
        return picture_view_of(library.get(picture))

    @router.get("/pictures/{picture}/file", response_class=FileResponse, responses=_file("image/png"))
    def picture_file(picture: RowId) -> FileResponse:
        return _png(library, picture)

    return router


def _file(media_type: str) -> dict[int | str, dict[str, Any]]:
    """An answer that is a file, for OpenAPI."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The file itself", "content": content}}


def _png(library: Library, picture: int) -> FileResponse:
    name = download_name(library.get(picture))
    disposition: Literal["inline"] = "inline"
    return FileResponse(
        library.picture_path(picture), media_type="image/png", filename=name, content_disposition_type=disposition
    )


def _place(after: str) -> tuple[int, int]:
    found = CHANGE.fullmatch(after)
    if found is None:
        raise InvalidRequest(Problem(field="after", value=shown(after), allowed="what the last answer said"))
    return int(found[1]), int(found[2])
