"""The Models view: what is here, what could be, and getting, checking and removing it. Must not know: disks."""

import gradio as gr

from darkroom.downloads.hubs import HUB_TITLES
from darkroom.web.words import Words

# No value of ours ever goes through the template: the script puts text in as text.
SKELETON = """
<section class="shelf">
  <div class="toolbar">
    <h2></h2>
    <p class="machine"></p>
    <label class="hub"><span></span><select></select></label>
    <label class="hub home" hidden><span></span><select></select></label>
  </div>
  <p class="cut-off" role="status" hidden></p>
  <div class="cards"></div>
  <section class="shared" hidden><h3></h3><p class="about"></p><ul class="files"></ul></section>
  <section class="lora-files" hidden><h3></h3><p class="about"></p><ul class="files"></ul></section>
  <section class="others" hidden><h3></h3><p class="about"></p><ul class="files"></ul></section>
</section>
"""


def build_models_page(words: Words) -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.shelf(element, props); darkroom.shelfLoras(element, props)",
        elem_id="models-page",
        apply_default_css=False,
        words=words.group("models"),
        hubs=dict(HUB_TITLES),
    )
