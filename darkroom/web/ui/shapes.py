"""The size of a picture: named shapes drawn as little frames, and both sides in pixels.

Must not know: what a model can make, beyond its shapes and limits.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from darkroom.catalog import ModelEntry
from darkroom.shapes import shapes_for
from darkroom.web.form import size_limits
from darkroom.web.words import Words

FRAMES = """
<fieldset class="frames">
  <legend></legend>
  <div class="row"></div>
</fieldset>
"""
TOOLS = """
<div class="size-tools">
  <button type="button" class="press swap">
    <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M3 7h12l-3-3M17 13H5l3 3"/></svg>
  </button>
  <button type="button" class="press lock" aria-pressed="false">
    <svg viewBox="0 0 20 20" aria-hidden="true"><rect x="4.5" y="9" width="11" height="7.5" rx="1.5"/>
      <path class="shackle" d="M7 9V6.5a3 3 0 0 1 6 0V9"/></svg>
  </button>
</div>
"""
HINT = '<p class="hint" id="size-said" role="status"></p>'


def build_size(words: Words, models: Iterable[ModelEntry], start: Mapping[str, Any]) -> dict[str, gr.Number]:
    """The two sides, by name."""
    table = {model.name: _of_model(model, words) for model in models}
    said = words.group("size")
    gr.HTML(
        html_template=FRAMES,
        js_on_load="darkroom.shapes(element, props)",
        elem_id="shape",
        apply_default_css=False,
        table=table,
        words={**said, **words.group("shapes")},
    )
    sides: dict[str, gr.Number] = {}
    with gr.Row(elem_id="size", elem_classes="pair"):
        for side in ("width", "height"):
            sides[side] = gr.Number(
                value=start[side],
                step=size_limits(next(iter(models))).step,
                label=words.say(f"fields.{side}"),
                min_width=80,
                elem_id=side,
            )
        gr.HTML(
            html_template=TOOLS,
            js_on_load="darkroom.size(element, props)",
            elem_id="size-tools",
            apply_default_css=False,
            table=table,
            words=said,
        )
    gr.HTML(html_template=HINT, js_on_load=None, elem_id="size-hint", apply_default_css=False)
    return sides


def _of_model(model: ModelEntry, words: Words) -> dict[str, Any]:
    limits = size_limits(model)
    figures = {"smallest": f"{limits.smallest:g}", "largest": f"{limits.largest:g}", "step": f"{limits.step:g}"}
    return {
        "shapes": [{"name": shape.name, "width": shape.width, "height": shape.height} for shape in shapes_for(model)],
        "smallest": limits.smallest,
        "largest": limits.largest,
        "step": limits.step,
        "allowed": words.say("size.allowed", **figures),
    }
