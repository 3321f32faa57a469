"""Parameters of a picture back into the form: what a script asks for, checked again, and said where it is not possible.

Must not know: files, or how a picture's values were read.
"""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from darkroom.errors import NotFound
from darkroom.history.library import Library
from darkroom.origins import Origins
from darkroom.web.again import differences
from darkroom.web.loras import LoraReader
from darkroom.web.reuse import CHOICES, Reuse, What, reuse
from darkroom.web.ui.form import Form
from darkroom.web.words import Words
from darkroom.web.words.problems import ProblemWords

QUIET: Mapping[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LONGEST_ORIGIN = 60
# What brings the files that made a picture back, too.
WHOLE: tuple[What, ...] = ("all", "all_but_seed")


def build_reuse(
    words: Words, problems: ProblemWords, library: Library, origins: Origins, form: Form, loras: LoraReader
) -> gr.HTML:
    """Its event "reuse" carries {"id", "what"}, or {"values", "origin", "what"} of a file. Its value is {"said"}."""
    part = gr.HTML(
        html_template='<div class="reuse-part"></div>',
        js_on_load="darkroom.reuseParts(element, props, watch, (asked) => trigger('reuse', asked))",
        elem_id="reuse",
        apply_default_css=False,
    )

    def fill_in(form_model: object, event: gr.EventData) -> list[Any]:
        asked = event._data if isinstance(event._data, dict) else {}
        try:
            values, said, differing = _asked_for(asked, library, origins, words)
        except NotFound:
            refused = {"title": words.say("refused.not_found_picture"), "lines": []}
            return [refused, gr.skip(), *(gr.skip() for _ in form.outputs)]
        what = _what(asked)
        found = reuse(values, what, form_model, loras)
        message = _message(found, differing if what in WHOLE else [], words, problems)
        return [message, {"said": "" if message["title"] else said}, *form.filled_with(found.values)]

    model = form.inputs[form.fields.index("model")]
    filled = part.reuse(fill_in, inputs=[model], outputs=[form.message, part, *form.outputs], preprocess=False, **QUIET)
    names = json.dumps(form.fields)
    filled.then(
        js=f"(...v) => darkroom.form.save({names}, v)", inputs=form.inputs, fn=None, queue=False, show_progress="hidden"
    )
    assert isinstance(part, gr.HTML)
    return part


def _asked_for(
    asked: Mapping[str, Any], library: Library, origins: Origins, words: Words
) -> tuple[Mapping[str, object], str, list[str]]:
    """The values, what to say when all of them go in, and why the next picture may differ. Raises NotFound."""
    values = asked.get("values")
    if isinstance(values, dict):
        origin = asked.get("origin")
        origin = origin[:LONGEST_ORIGIN] if isinstance(origin, str) else ""
        return values, "" if _what(asked) == "model" else words.say("reuse.filled_from", origin=origin), []
    id = asked.get("id")
    if isinstance(id, bool) or not isinstance(id, int):
        raise NotFound("picture", id)
    picture = library.get(id)
    said = words.say("reuse.filled", id=picture.id)
    return picture.request.model_dump(mode="json"), said, differences(picture, origins, words)


def _what(asked: Mapping[str, Any]) -> What:
    return next((choice for choice in CHOICES if choice == asked.get("what")), "all")


def _message(found: Reuse, differing: list[str], words: Words, problems: ProblemWords) -> dict[str, Any]:
    if not found.problems:
        return {"title": words.say("reuse.differs") if differing else "", "lines": differing, "tone": "note"}
    title = words.say("reuse.partly" if found.values else "reuse.nothing")
    return {"title": title, "lines": problems.sentences(found.problems) + differing, "tone": "note"}
