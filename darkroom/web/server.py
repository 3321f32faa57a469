"""create_app: our routes, the page in each language, and the doors in front of them. Must not know: the engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from socket import gethostname

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from darkroom import __version__
from darkroom.config import Settings
from darkroom.errors import DarkroomError, NotFound
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.guard import Guard
from darkroom.web.headers import SecurityHeaders
from darkroom.web.pages import Pages
from darkroom.web.routes.asking import WordsOf, problem_words_of, words_of
from darkroom.web.routes.changes import change_routes
from darkroom.web.routes.health import health_routes
from darkroom.web.routes.jobs import job_routes
from darkroom.web.routes.mark import mark_routes
from darkroom.web.routes.pictures import picture_routes
from darkroom.web.routes.reading import reading_routes
from darkroom.web.words import load_words


def create_app(settings: Settings, queue: JobQueue, library: Library, supervisor: Supervisor) -> FastAPI:
    words = load_words()
    pages = Pages(settings, words, queue, library, supervisor)
    app = FastAPI(
        title="Darkroom",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan_of(pages),
    )
    find_words = words_of(words, settings.language)
    app.include_router(job_routes(queue, supervisor, find_words))
    app.include_router(picture_routes(settings, library, find_words))
    app.include_router(change_routes(settings, queue, library, supervisor, find_words))
    app.include_router(reading_routes(find_words, problem_words_of(words, find_words)))
    app.include_router(health_routes(supervisor))
    app.include_router(mark_routes())
    app.mount("/", pages)
    _say_errors(app, find_words)
    app.add_middleware(Guard, names=host_names(settings.server.host))
    app.add_middleware(SecurityHeaders)
    return app


def host_names(host: str) -> tuple[str, ...]:
    """The names this machine is called by."""
    own = gethostname()
    return ("localhost", own, f"{own}.local", host)


def _lifespan_of(pages: Pages) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await pages.enter(stack)
            yield

    return lifespan


def _say_errors(app: FastAPI, find_words: WordsOf) -> None:
    @app.exception_handler(DarkroomError)
    async def say(request: Request, error: DarkroomError) -> JSONResponse:
        key = f"{error.code}_{error.kind}" if isinstance(error, NotFound) else error.code
        words = find_words(request)
        word = words.say(f"refused.{key}" if f"refused.{key}" in words else "refused.error")
        code = 404 if isinstance(error, NotFound) else 422
        return JSONResponse({"error": error.code, "words": word}, status_code=code)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, _: RequestValidationError) -> JSONResponse:
        word = find_words(request).say("refused.invalid_request")
        return JSONResponse({"error": "invalid_request", "words": word}, status_code=422)
