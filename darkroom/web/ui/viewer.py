"""One picture as large as the window, with everything that made it. Must not know: where it was opened from."""

import gradio as gr

SKELETON = """
<dialog class="viewer">
  <div class="stage"><img alt="" draggable="false"></div>
  <div class="tools"></div>
  <div class="facts">
    <p class="number"></p>
    <div class="prompt-line"><p class="prompt" tabindex="0"></p></div>
    <dl></dl>
    <div class="foot"></div>
  </div>
</dialog>
"""


def build_viewer() -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.viewer(element)",
        elem_id="viewer",
        apply_default_css=False,
    )
