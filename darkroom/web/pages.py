"""The Gradio page, built once per language; each request is handed to the one of its language.

So every word is right from the first paint, and changing the language is one reload. All of Gradio's settings that
concern the outside world stand here. Must not know: what is on the page.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from darkroom.catalog import ModelEntry
from darkroom.config import Settings
from darkroom.web.events import EventDoor
from darkroom.web.language import language_of
from darkroom.web.models import Models
from darkroom.web.order import Counter
from darkroom.web.static import all_of
from darkroom.web.theme import darkroom_theme
from darkroom.web.ui.page import build_page
from darkroom.web.words import Language, Words
from darkroom.web.words.problems import ProblemWords

MOST_THREADS = 200


@dataclass(frozen=True, kw_only=True)
class _Built:
    """One language's page, and the models it offers."""

    app: FastAPI
    door: EventDoor
    entries: tuple[ModelEntry, ...]


class Pages:
    """An ASGI application. A page is built anew for whoever opens it after models have come or gone."""

    def __init__(
        self,
        settings: Settings,
        words: Mapping[Language, Words],
        models: Models,
        counter: Counter,
    ) -> None:
        _close_gradio(settings.folders.history / ".gradio")
        self._preference = settings.language
        self._history = settings.folders.history
        self._words, self._models, self._counter = words, models, counter
        self._stack: AsyncExitStack | None = None
        self._building = asyncio.Lock()
        self._built = {language: self._build(language) for language in words}

    async def enter(self, stack: AsyncExitStack) -> None:
        """Start Gradio's own background work, until the stack is closed."""
        self._stack = stack
        for built in self._built.values():
            await stack.enter_async_context(built.app.router.lifespan_context(built.app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        language = language_of(HTTPConnection(scope), self._preference)
        if scope["path"] == "/" and self._stack is not None:
            await self._renew(language, self._stack)
        await self._built[language].door(scope, receive, send)

    async def _renew(self, language: Language, stack: AsyncExitStack) -> None:
        async with self._building:
            if await run_in_threadpool(self._models.look) == self._built[language].entries:
                return
            built = await run_in_threadpool(self._build, language)
            # The old one stays for those who have it open: its background work ends with the server.
            await stack.enter_async_context(built.app.router.lifespan_context(built.app))
            self._built[language] = built

    def _build(self, language: Language) -> _Built:
        words, models = self._words[language], self._models.now()
        page = build_page(words, ProblemWords(self._words["en"], words), models, self._counter)
        app = _mounted(page, self._history, words)
        door = EventDoor(app, page, words.say("refused.invalid_request"))
        return _Built(app=app, door=door, entries=models.entries)


def _close_gradio(temporary: Path) -> None:
    """Gradio reads these when a page is built. Nothing is reported anywhere, and its cache stays in our folder."""
    shutil.rmtree(temporary, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(temporary)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"


def _mounted(page: gr.Blocks, history: Path, words: Words) -> FastAPI:
    page.max_threads = MOST_THREADS
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        allowed_paths=[],
        blocked_paths=[str(history)],
        max_file_size=1,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=darkroom_theme(),
        css=all_of(".css"),
        head=_head(words),
    )
    return app


def _head(words: Words) -> str:
    for_scripts = json.dumps(words.for_scripts(), ensure_ascii=False).replace("</", "<\\/")
    return (
        '<link rel="icon" type="image/svg+xml" href="/mark.svg">'
        f'<script>document.documentElement.lang = "{words.language}";\n{all_of(".js")}\n'
        f"darkroom.words = {for_scripts};</script>"
    )
