"""The Gradio page, built once per language; each request is handed to the one of its language.

So every word is right from the first paint, and changing the language is one reload. All of Gradio's settings that
concern the outside world stand here. Must not know: what is on the page.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from darkroom.config import Settings
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.language import language_of
from darkroom.web.static import static_text
from darkroom.web.theme import darkroom_theme
from darkroom.web.ui.page import build_page
from darkroom.web.words import Language, Words
from darkroom.web.words.problems import ProblemWords

SCRIPTS = ("darkroom.js", "form.js", "watch.js", "history.js")
STYLES = ("darkroom.css", "watch.css", "history.css")
MOST_THREADS = 200


class Pages:
    """An ASGI application."""

    def __init__(
        self,
        settings: Settings,
        words: Mapping[Language, Words],
        queue: JobQueue,
        library: Library,
        supervisor: Supervisor,
    ) -> None:
        _close_gradio(settings.folders.history / ".gradio")
        self._preference = settings.language
        self._apps = {
            language: _mounted(
                build_page(its_words, ProblemWords(words["en"], its_words), queue, library, supervisor),
                settings.folders.history,
                its_words,
            )
            for language, its_words in words.items()
        }

    async def enter(self, stack: AsyncExitStack) -> None:
        """Start Gradio's own background work, until the stack is closed."""
        for app in self._apps.values():
            await stack.enter_async_context(app.router.lifespan_context(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        language = language_of(HTTPConnection(scope), self._preference)
        await self._apps[language](scope, receive, send)


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
        css=static_text(*STYLES),
        head=_head(words.language),
    )
    return app


def _head(language: Language) -> str:
    return (
        '<link rel="icon" type="image/svg+xml" href="/mark.svg">'
        f'<script>document.documentElement.lang = "{language}";\n{static_text(*SCRIPTS)}</script>'
    )
