"""The film strip below the tray: pictures being made, then those made last. Must not know: the form, or the history."""

import gradio as gr

SKELETON = """
<section class="strip" hidden>
  <div class="queue" role="list" hidden></div>
  <div class="film" role="group"></div>
</section>
"""


def build_strip() -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.strip(element)",
        elem_id="strip",
        apply_default_css=False,
    )
