"""Fast, Standard, Fine: one click for all that trades detail for speed. Must not know: where the figures come from."""

from collections.abc import Mapping, Sequence

import gradio as gr

from darkroom.catalog import PRESET_NAMES, Preset
from darkroom.web.words import Words

# The last one is where the figures are nobody's preset; it is shown only then.
SKELETON = """
<fieldset class="segments">
  <legend></legend>
  <div class="row"></div>
</fieldset>
"""


def build_presets(words: Words, presets: Mapping[str, Sequence[Preset]]) -> gr.HTML:
    """`presets` by model."""
    table = {model: {preset.name: preset.values for preset in its_presets} for model, its_presets in presets.items()}
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.presets(element, props)",
        elem_id="presets",
        apply_default_css=False,
        names=list(PRESET_NAMES),
        table=table,
        words=words.group("presets"),
    )
