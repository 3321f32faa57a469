"""The form: what a picture can be asked for. First what nearly everyone wants, then the rest, folded.

Labels, limits and defaults come from words, request and catalogue. Must not know: what happens to the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from darkroom.prompts.batch import MOST_PICTURES
from darkroom.web.form import COUNT, starting_values
from darkroom.web.models import Models
from darkroom.web.ui.batch import build_batch
from darkroom.web.ui.figure import build_figure
from darkroom.web.ui.fold import folded
from darkroom.web.ui.loras import build_loras
from darkroom.web.ui.models import build_model
from darkroom.web.ui.presets import build_presets
from darkroom.web.ui.prompt import build_prompt
from darkroom.web.ui.seed import build_seed
from darkroom.web.ui.shapes import build_size
from darkroom.web.words import Words

MESSAGE = '<div class="refusal" role="alert" hidden><strong></strong><ul></ul></div>'
# Where the handles end: beyond this, more is seldom better. It can still be typed.
STEPS_REACH, GUIDANCE_REACH, CFG_REACH = 50, 10, 10
STEP_CACHE_REACH, PROMPT_REACH = 0.8, 512


@dataclass(frozen=True, kw_only=True)
class Form:
    """Gradio's own fields, by name; `start` is what the others begin with."""

    inputs: Mapping[str, Any]
    start: Mapping[str, Any]


def build_form(words: Words, models: Models) -> Form:
    """Where there is a choice of models it stands before all that depends on it, else among the rest."""
    start: dict[str, Any] = starting_values(models.first, models.presets[models.first.name])
    parts: dict[str, Any] = {"prompt": build_prompt(words)}
    gr.HTML(
        html_template=MESSAGE,
        js_on_load="darkroom.refusal(element, props, watch)",
        elem_id="refusal",
        apply_default_css=False,
        words=words.group("form"),
    )
    parts[COUNT] = _order(words)
    build_batch(words)
    if len(models.entries) > 1:
        build_model(words, models)
    build_presets(words, models.presets)
    with gr.Row(elem_id="figures", elem_classes="pair"):
        parts["steps"] = build_figure(
            words, "steps", value=start["steps"], step=1, reach=STEPS_REACH, about="form.steps_info"
        )
        parts["guidance"] = build_figure(
            words, "guidance", value=start["guidance"], step=0.1, reach=GUIDANCE_REACH, about="form.guidance_info"
        )
    build_loras(words)
    parts |= build_size(words, models.entries, start)
    parts["seed"] = build_seed(words)
    parts |= _advanced(words, models, start)
    return Form(inputs=parts, start={"model": start["model"], "loras": start["loras"]})


def _order(words: Words) -> gr.Number:
    """The button, and beside it how many pictures."""
    with gr.Row(elem_id="order", elem_classes="pair"):
        gr.Button(words.say("form.generate"), variant="primary", size="lg", elem_id="generate")
        return gr.Number(
            value=1,
            step=1,
            label=words.say("form.pictures"),
            info=words.say("form.pictures_about", most=MOST_PICTURES),
            min_width=72,
            elem_id=COUNT,
        )


def _advanced(words: Words, models: Models, start: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with folded(words.say("form.advanced"), "advanced"):
        parts["cfg_scale"] = build_figure(
            words, "cfg_scale", value=start["cfg_scale"], step=0.1, reach=CFG_REACH, about="form.cfg_info"
        )
        _hint(words.say("form.cfg_info"))
        parts["negative_prompt"] = gr.Textbox(
            value=str(start["negative_prompt"]),
            label=words.say("fields.negative_prompt"),
            lines=2,
            max_lines=8,
            elem_id="negative_prompt",
        )
        gr.HTML(
            html_template='<p class="hint"></p>',
            js_on_load="darkroom.negative(element, props)",
            elem_id="negative-hint",
            apply_default_css=False,
            about=words.say("form.negative_info"),
        )
        for field, step, reach in (("step_cache", 0.05, STEP_CACHE_REACH), ("prompt_tokens", 16, PROMPT_REACH)):
            about = f"form.{field}_info"
            parts[field] = build_figure(words, field, value=start[field], step=step, reach=reach, about=about)
            _hint(words.say(about))
        if len(models.entries) == 1:
            build_model(words, models)
    return parts


def _hint(text: str) -> None:
    gr.HTML(html_template=f'<p class="hint">{text}</p>', js_on_load=None, apply_default_css=False)
