"""A figure: a number to type, and a handle to drag. The handle never changes what was typed.

Must not know: what the figure is for.
"""

import gradio as gr

from darkroom.web.form import limits_of
from darkroom.web.words import Words

SKELETON = '<input type="range"><p class="wrong" role="status" hidden></p>'


def build_figure(words: Words, field: str, *, value: float, step: float, reach: float, about: str) -> gr.Number:
    """`reach` is where the handle ends: what is useful, which may be less than what is allowed."""
    limits = limits_of(field)
    label, info = words.say(f"fields.{field}"), words.say(about)
    with gr.Column(elem_classes="figure", min_width=120):
        number = gr.Number(value=value, step=step, label=label, elem_id=field)
        gr.HTML(
            html_template=SKELETON,
            js_on_load="darkroom.figure(element, props)",
            apply_default_css=False,
            field=field,
            label=label,
            about=info,
            smallest=limits.smallest,
            reach=min(reach, limits.largest),
            step=step,
        )
    return number
