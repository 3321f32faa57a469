"""create_app: our routes, the page in each language, and the doors in front of them. Must not know: the engine."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from socket import gethostname

from fastapi import FastAPI

from darkroom import __version__
from darkroom.catalog import MODELS, ModelEntry
from darkroom.config import Settings
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.prompts.styles import FILE_NAME as STYLES_FILE
from darkroom.prompts.styles import StyleBook
from darkroom.prompts.tokens import TokenCounter
from darkroom.web.guard import Guard
from darkroom.web.headers import SecurityHeaders
from darkroom.web.models import models_of
from darkroom.web.order import Counter
from darkroom.web.pages import Pages
from darkroom.web.refusals import say_errors
from darkroom.web.routes.asking import problem_words_of, words_of
from darkroom.web.routes.changes import change_routes
from darkroom.web.routes.health import health_routes
from darkroom.web.routes.jobs import job_routes
from darkroom.web.routes.mark import mark_routes
from darkroom.web.routes.orders import order_routes
from darkroom.web.routes.pictures import picture_routes
from darkroom.web.routes.prompts import prompt_routes
from darkroom.web.routes.reading import reading_routes
from darkroom.web.routes.selection import selection_routes
from darkroom.web.routes.styles import style_routes
from darkroom.web.routes.trash import trash_routes
from darkroom.web.words import load_words


def create_app(
    settings: Settings,
    queue: JobQueue,
    library: Library,
    supervisor: Supervisor,
    entries: Sequence[ModelEntry] = MODELS,
) -> FastAPI:
    """`entries` are the models the form may choose from, the first of them to begin with."""
    words, models = load_words(), models_of(entries, settings)
    pages = Pages(settings, words, library, models)
    app = FastAPI(
        title="Darkroom",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan_of(pages),
    )
    find_words = words_of(words, settings.language)
    find_problem_words = problem_words_of(words, find_words)
    tokens = TokenCounter(settings.folders.models)
    counter = Counter(queue, supervisor, models)
    book = StyleBook(settings.folders.history / STYLES_FILE)
    app.include_router(order_routes(counter, tokens, find_words, find_problem_words))
    app.include_router(prompt_routes(library))
    app.include_router(style_routes(book, find_words, find_problem_words))
    app.include_router(job_routes(queue, supervisor, find_words))
    app.include_router(picture_routes(models, library, find_words))
    app.include_router(selection_routes(library, find_words))
    app.include_router(trash_routes(library))
    app.include_router(change_routes(models, queue, library, supervisor, find_words))
    app.include_router(reading_routes(find_words, problem_words_of(words, find_words)))
    app.include_router(health_routes(supervisor))
    app.include_router(mark_routes())
    app.mount("/", pages)
    say_errors(app, find_words, find_problem_words)
    app.add_middleware(Guard, names=host_names(settings.server.host, *settings.server.names))
    app.add_middleware(SecurityHeaders)
    return app


def host_names(*given: str) -> tuple[str, ...]:
    """The names this machine is called by, and those in the settings."""
    own = gethostname()
    return ("localhost", own, f"{own}.local", *given)


def _lifespan_of(pages: Pages) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await pages.enter(stack)
            yield

    return lifespan
