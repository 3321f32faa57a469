"""The whole page in one language: its parts, and what happens between them. Must not know: how pictures are made."""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from darkroom.catalog import MODELS
from darkroom.errors import InvalidRequest, NotFound
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.form import request_of
from darkroom.web.ui.form import Form, build_form
from darkroom.web.ui.header import build_header
from darkroom.web.ui.history import build_history
from darkroom.web.ui.watch import build_watch
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords

# Every handler is short and goes round Gradio's queue: the queue of pictures is ours.
QUICK: Mapping[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "once",
}


def build_page(
    words: Words, problems: ProblemWords, queue: JobQueue, library: Library, supervisor: Supervisor
) -> gr.Blocks:
    with gr.Blocks(title=words.say("name"), analytics_enabled=False, fill_width=True) as page:
        build_header(words)
        with gr.Row(elem_id="bench"):
            with gr.Column(elem_id="controls", scale=0, min_width=320):
                form = build_form(words, MODELS[0])
            with gr.Column(elem_id="tray", scale=1, min_width=320):
                watch = build_watch(words)
        history = build_history(words)

        def generate(*values: object) -> list[Any]:
            try:
                request = request_of(dict(zip(form.fields, values, strict=True)))
            except InvalidRequest as error:
                refused = {"title": words.say("form.refused"), "lines": problems.sentences(error.problems)}
                return [refused, gr.skip()]
            job = queue.submit(request)
            supervisor.wake()
            return [{"title": "", "lines": []}, {"job": job.id, "seed": job.request.seed}]

        def reuse(event: gr.EventData) -> list[Any]:
            try:
                request = library.get(_row_id(event))
            except NotFound:
                refused = {"title": words.say("refused.not_found_picture"), "lines": []}
                return [refused, *(gr.skip() for _ in form.outputs)]
            return [{"title": "", "lines": []}, *form.filled(request.request)]

        form.generate.click(generate, inputs=form.inputs, outputs=[form.message, watch], preprocess=False, **QUICK)
        history.reuse(reuse, outputs=[form.message, *form.outputs], **QUICK)
        _remember(page, form)
    assert isinstance(page, gr.Blocks)
    return page


def _row_id(event: gr.EventData) -> int:
    """What the browser sent, if it is the number of a row. Raises NotFound."""
    data = event._data
    found = data.get("id") if isinstance(data, dict) else None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**63:
        raise NotFound("picture", found)
    return found


def _remember(page: gr.Blocks, form: Form) -> None:
    """The browser keeps what was typed: a reload or a change of language loses nothing."""
    browser_only: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden"}
    names = json.dumps(form.fields)
    page.load(
        js=f"(...v) => darkroom.form.restore({names}, v)", inputs=form.inputs, outputs=form.inputs, **browser_only
    )
    gr.on(
        [part.change for part in form.inputs],
        js=f"(...v) => darkroom.form.save({names}, v)",
        inputs=form.inputs,
        outputs=None,
        trigger_mode="always_last",
        **browser_only,
    )
