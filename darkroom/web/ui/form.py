"""The form: what a picture can be asked for. Labels, limits and defaults come from words, request and model.

Must not know: what happens to the values.
"""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from darkroom.catalog import MODELS, ModelEntry
from darkroom.request import LONGEST_PROMPT, GenerationRequest
from darkroom.web.form import limits_of, size_limits, starting_values, values_of
from darkroom.web.shapes import shape_of, shapes_of
from darkroom.web.words import Words

MESSAGE = '<div class="refusal" role="alert" hidden><strong></strong><ul></ul></div>'


@dataclass(frozen=True, kw_only=True)
class Form:
    """`fields` names `inputs`, one by one."""

    fields: tuple[str, ...]
    inputs: list[Any]
    shape: gr.Radio
    generate: gr.Button
    message: gr.HTML
    model: ModelEntry

    @property
    def outputs(self) -> list[Any]:
        return [*self.inputs, self.shape]

    def filled(self, request: GenerationRequest) -> list[Any]:
        """A value for each of `outputs`."""
        values = values_of(request)
        return [*(values[field] for field in self.fields), shape_of(self.model, request.width, request.height)]


def build_form(words: Words, model: ModelEntry) -> Form:
    start = starting_values(model)
    parts: dict[str, Any] = {}
    parts["prompt"] = gr.Textbox(
        value=str(start["prompt"]),
        label=words.say("fields.prompt"),
        placeholder=words.say("form.prompt_hint"),
        lines=4,
        max_lines=14,
        max_length=LONGEST_PROMPT,
        elem_id="prompt",
        autofocus=True,
    )
    message = gr.HTML(
        html_template=MESSAGE,
        js_on_load="darkroom.refusal(element, props, watch)",
        elem_id="refusal",
        apply_default_css=False,
    )
    generate = gr.Button(words.say("form.generate"), variant="primary", size="lg", elem_id="generate")
    shape = _size(words, model, parts, start)
    parts["steps"] = _slider(words, "steps", start, info="steps_info", step=1)
    parts["guidance"] = _slider(words, "guidance", start, info="guidance_info", step=0.1)
    _seed(words, parts, start)
    with gr.Accordion(words.say("form.advanced"), open=False, elem_id="advanced"):
        parts["cfg_scale"] = _slider(words, "cfg_scale", start, info="cfg_info", step=0.1)
        parts["negative_prompt"] = gr.Textbox(
            value=str(start["negative_prompt"]),
            label=words.say("fields.negative_prompt"),
            info=words.say("form.negative_info"),
            lines=2,
            max_lines=8,
            max_length=LONGEST_PROMPT,
            elem_id="negative_prompt",
        )
        parts["model"] = gr.Dropdown(
            choices=[(entry.title, entry.name) for entry in MODELS],
            value=start["model"],
            label=words.say("fields.model"),
            info=words.say("form.model_info", licence=model.licence),
            filterable=False,
            elem_id="model",
        )
    return Form(
        fields=tuple(parts),
        inputs=list(parts.values()),
        shape=shape,
        generate=generate,
        message=message,
        model=model,
    )


def _slider(words: Words, field: str, start: dict[str, Any], *, info: str, step: float) -> gr.Slider:
    limits = limits_of(field)
    return gr.Slider(
        minimum=limits.smallest,
        maximum=limits.largest,
        step=step,
        value=start[field],
        label=words.say(f"fields.{field}"),
        info=words.say(f"form.{info}"),
        elem_id=field,
        buttons=[],
    )


def _size(words: Words, model: ModelEntry, parts: dict[str, Any], start: dict[str, Any]) -> gr.Radio:
    limits, shapes = size_limits(model), shapes_of(model)
    shape = gr.Radio(
        choices=list(shapes),
        value=shape_of(model, model.default_width, model.default_height),
        label=words.say("form.shape"),
        elem_id="shape",
    )
    info = words.say(
        "form.size_info", smallest=f"{limits.smallest:g}", largest=f"{limits.largest:g}", step=f"{limits.step:g}"
    )
    with gr.Row(elem_id="size", elem_classes="pair"):
        for side in ("width", "height"):
            parts[side] = gr.Number(
                value=start[side], step=limits.step, label=words.say(f"fields.{side}"), min_width=80, elem_id=side
            )
    _hint(info)
    sides = [parts["width"], parts["height"]]
    table = json.dumps(shapes)
    quiet: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden"}
    shape.input(js=f"(name) => ({table})[name]", inputs=[shape], outputs=sides, **quiet)
    gr.on(
        [side.change for side in sides],
        js=f"(w, h) => darkroom.form.shapeOf({table}, w, h)",
        inputs=sides,
        outputs=[shape],
        trigger_mode="always_last",
        **quiet,
    )
    return shape


def _seed(words: Words, parts: dict[str, Any], start: dict[str, Any]) -> None:
    with gr.Row(elem_id="seed-row", elem_classes="pair"):
        parts["seed"] = gr.Number(
            value=start["seed"],
            step=1,
            label=words.say("fields.seed"),
            min_width=120,
            scale=3,
            elem_id="seed",
        )
        again = gr.Button(words.say("form.random_seed"), size="sm", min_width=60, scale=1, elem_id="random-seed")
        last = gr.Button(words.say("form.last_seed"), size="sm", min_width=60, scale=1, elem_id="last-seed")
    quiet: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden"}
    _hint(words.say("form.seed_info"))
    again.click(js=f"() => {start['seed']}", outputs=[parts["seed"]], **quiet)
    last.click(js="(seed) => darkroom.form.lastSeed(seed)", inputs=[parts["seed"]], outputs=[parts["seed"]], **quiet)


def _hint(text: str) -> gr.HTML:
    return gr.HTML(html_template=f'<p class="hint">{text}</p>', js_on_load=None, apply_default_css=False)
