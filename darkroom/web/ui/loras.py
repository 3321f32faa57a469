"""The LoRAs that a picture's parameters brought along, and a button that takes them off. Must not know: their files."""

import gradio as gr

from darkroom.web.words import Words

LORAS = '<p class="hint loras" hidden><span></span> <button type="button" class="text-button"></button></p>'


def build_loras(words: Words) -> gr.HTML:
    """Its value is the request's list."""
    part = gr.HTML(
        value=[],
        html_template=LORAS,
        js_on_load="darkroom.loras(element, props)",
        elem_id="loras",
        apply_default_css=False,
        words=words.group("loras"),
    )
    assert isinstance(part, gr.HTML)
    return part
