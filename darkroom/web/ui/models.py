"""Which model makes the picture, and under it what follows from the choice. Must not know: what a model is made of."""

from typing import Any

import gradio as gr

from darkroom.catalog import ModelEntry
from darkroom.shapes import shapes_for
from darkroom.web.form import size_limits, starting_values
from darkroom.web.models import Models
from darkroom.web.words import Words

CHOICE = '<label class="choice"><span></span><select></select></label><p class="hint" role="status"></p>'


def build_model(words: Words, models: Models) -> None:
    """Nothing but a line that names it where there is only one."""
    several = len(models.entries) > 1
    gr.HTML(
        html_template=CHOICE,
        js_on_load="darkroom.models.show(element, props)",
        elem_id="model",
        apply_default_css=False,
        label=words.say("fields.model"),
        choices=[(entry.title, entry.name) for entry in models.entries],
        table={entry.name: _of_model(entry, models, words, named=not several) for entry in models.entries},
        words=words.group("model"),
    )


def _of_model(entry: ModelEntry, models: Models, words: Words, *, named: bool) -> dict[str, Any]:
    presets = models.presets[entry.name]
    start, limits = starting_values(entry, presets), size_limits(entry)
    about = words.say(
        "model.named" if named else "model.about",
        title=entry.title,
        licence=entry.licence or words.say("models.terms.own"),
    )
    return {
        "about": about,
        "start": {field: start[field] for field in ("width", "height", *presets[0].values)},
        "presets": {preset.name: preset.values for preset in presets},
        "shapes": {shape.name: {"width": shape.width, "height": shape.height} for shape in shapes_for(entry)},
        "guidance": entry.has_guidance,
        "smallest": limits.smallest,
        "largest": limits.largest,
    }
