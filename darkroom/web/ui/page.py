"""The whole page in one language: its parts, and what happens between them. Must not know: how pictures are made."""

import json

import gradio as gr

from darkroom.web.models import Models
from darkroom.web.order import Counter
from darkroom.web.ui.examples import build_examples
from darkroom.web.ui.form import Form, build_form
from darkroom.web.ui.header import build_header
from darkroom.web.ui.help import build_help
from darkroom.web.ui.history import build_history
from darkroom.web.ui.models_page import build_models_page
from darkroom.web.ui.queue import build_queue
from darkroom.web.ui.strip import build_strip
from darkroom.web.ui.submit import build_submit
from darkroom.web.ui.viewer import build_viewer
from darkroom.web.ui.watch import build_watch
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords


def build_page(words: Words, problems: ProblemWords, models: Models, counter: Counter) -> gr.Blocks:
    with gr.Blocks(title=words.say("name"), analytics_enabled=False, fill_width=True) as page:
        build_header(words)
        with gr.Row(elem_id="bench"):
            with gr.Column(elem_id="controls", scale=0, min_width=320):
                form = build_form(words, models)
            with gr.Column(elem_id="tray", scale=1, min_width=320):
                build_watch()
                build_examples(words)
                build_strip()
        build_queue()
        build_history()
        build_models_page(words)
        build_viewer()
        build_help(words)
        build_submit(counter, problems)
        _remember(page, form, models)
    assert isinstance(page, gr.Blocks)
    return page


def _remember(page: gr.Blocks, form: Form, models: Models) -> None:
    """The browser keeps what was typed: a reload or a change of language loses nothing."""
    names, start, offered = (json.dumps(each) for each in ([*form.inputs], form.start, models.names))
    fields = [*form.inputs.values()]
    page.load(
        js=f"(...v) => darkroom.form.restore({names}, v, {start}, {offered})",
        inputs=fields,
        outputs=fields,
        fn=None,
        queue=False,
        show_progress="hidden",
    )
