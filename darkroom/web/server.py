"""create_app: our routes, the page in each language, and the doors in front of them. Must not know: the engine."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from socket import gethostname

from fastapi import FastAPI

from darkroom import __version__
from darkroom.catalog import ModelEntry
from darkroom.config import Settings
from darkroom.downloads.downloads import Downloads
from darkroom.downloads.shelf import Shelf
from darkroom.hardware import look_without_torch
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.jobs.webhooks import Hooks, Webhooks
from darkroom.loras.folders import LoraFolders
from darkroom.loras.keeping import Keeper
from darkroom.origins import Origins
from darkroom.prompts.styles import FILE_NAME as STYLES_FILE
from darkroom.prompts.styles import StyleBook
from darkroom.prompts.tokens import TokenCounter
from darkroom.web.fitting import Fitting
from darkroom.web.foresight import Foresight
from darkroom.web.guard import Guard
from darkroom.web.headers import SecurityHeaders
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models, models_of
from darkroom.web.needs import Needs
from darkroom.web.order import Counter
from darkroom.web.pages import Pages
from darkroom.web.refusals import say_errors
from darkroom.web.routes.asking import problem_words_of, words_of
from darkroom.web.routes.changes import change_routes
from darkroom.web.routes.health import health_routes
from darkroom.web.routes.jobs import job_routes
from darkroom.web.routes.lora_files import lora_file_routes
from darkroom.web.routes.loras import lora_routes
from darkroom.web.routes.mark import mark_routes
from darkroom.web.routes.models import model_routes
from darkroom.web.routes.orders import order_routes
from darkroom.web.routes.pictures import picture_routes
from darkroom.web.routes.prompts import prompt_routes
from darkroom.web.routes.reading import reading_routes
from darkroom.web.routes.reuse import reuse_routes
from darkroom.web.routes.selection import selection_routes
from darkroom.web.routes.styles import style_routes
from darkroom.web.routes.trash import trash_routes
from darkroom.web.routes.v1 import PREFIX as V1
from darkroom.web.routes.v1 import create_v1
from darkroom.web.words import load_words


def create_app(
    settings: Settings,
    queue: JobQueue,
    library: Library,
    supervisor: Supervisor,
    entries: Sequence[ModelEntry] | None = None,
    shelf: Shelf | None = None,
) -> FastAPI:
    """`entries` are the models the form may choose from, the first of them to begin with; None: all that are here."""
    downloads = Downloads(shelf or Shelf(settings))
    fitting = Fitting(settings, look_without_torch)
    words, models = load_words(), _models(entries, downloads.shelf, fitting, settings)
    origins, loras = Origins(downloads.shelf), LoraFolders(settings.folders.models)
    reader = LoraReader(loras, models)
    counter = Counter(queue, supervisor, models, reader)
    pages = Pages(settings, words, models, counter)
    app = FastAPI(
        title="Darkroom",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan_of(pages, downloads, Webhooks(Hooks(**settings.webhooks.model_dump()), queue)),
    )
    find_words = words_of(words, settings.language)
    find_problem_words = problem_words_of(words, find_words, models.title)
    by_names = problem_words_of(words, find_words)  # a program asks for a model by its name
    tokens = TokenCounter(settings.folders.models)
    needs = Needs(queue, library)
    keeper = Keeper(settings.folders.models, lambda: loras.folders_of(models.entries))
    foresight = Foresight(fitting, supervisor, models)
    book = StyleBook(settings.folders.history / STYLES_FILE)
    app.include_router(order_routes(counter, tokens, foresight, find_words, find_problem_words))
    app.include_router(prompt_routes(library))
    app.include_router(lora_routes(loras, keeper, models, find_words))
    app.include_router(lora_file_routes(loras, keeper, models, needs, find_words))
    app.include_router(style_routes(book, find_words, find_problem_words))
    app.include_router(job_routes(queue, library, supervisor, find_words))
    app.include_router(picture_routes(models, library, origins, find_words))
    app.include_router(selection_routes(library, find_words))
    app.include_router(trash_routes(library))
    app.include_router(change_routes(reader, queue, library, origins, supervisor, find_words))
    app.include_router(reuse_routes(library, origins, reader, find_words, find_problem_words))
    app.include_router(reading_routes(reader, find_words, find_problem_words))
    app.include_router(model_routes(downloads, fitting, needs, settings.models.source, find_words))
    app.include_router(health_routes(supervisor))
    app.include_router(mark_routes())
    app.mount(V1, create_v1(counter, queue, library, supervisor, words["en"], find_words, by_names))
    app.mount("/", pages)
    say_errors(app, find_words, find_problem_words)
    app.add_middleware(Guard, names=host_names(settings.server.host, *settings.server.names))
    app.add_middleware(SecurityHeaders)
    return app


def host_names(*given: str) -> tuple[str, ...]:
    """The names this machine is called by, and those in the settings."""
    own = gethostname()
    return ("localhost", own, f"{own}.local", *given)


def _models(entries: Sequence[ModelEntry] | None, shelf: Shelf, fitting: Fitting, settings: Settings) -> Models:
    """Those of a test, or all that are on the shelf at the moment."""
    if entries is not None:
        return models_of(entries, settings)
    return Models(lambda: fitting.in_order(shelf.entries()), settings)


def _lifespan_of(
    pages: Pages, downloads: Downloads, webhooks: Webhooks
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await pages.enter(stack)
            stack.enter_context(webhooks)
            stack.callback(downloads.close)
            downloads.start()
            yield

    return lifespan
