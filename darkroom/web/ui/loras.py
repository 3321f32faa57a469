"""LoRAs in the form: those that will be used, each with its weight, and a sheet to pick from. Must not know: files."""

import gradio as gr

from darkroom.request import MOST_LORAS
from darkroom.web.words import Words

# No value ever goes through the templates: the scripts put text in as text.
ROWS = """
<section class="loras">
  <div class="head">
    <span class="title" id="loras-title"></span>
    <button type="button" class="quiet add" popovertarget="lora-sheet"></button>
  </div>
  <ul class="uses" aria-labelledby="loras-title"></ul>
  <p class="told" role="status" hidden></p>
  <p class="wrong" role="alert" hidden></p>
</section>
<div popover id="lora-sheet" class="sheet-of-loras">
  <input type="search" autocomplete="off" spellcheck="false">
  <p class="said" role="status" hidden></p>
  <ul></ul>
  <p class="nothing" hidden></p>
  <div class="foot">
    <button type="button" class="quiet choose"></button>
    <span class="about"></span>
    <button type="button" class="quiet close"></button>
    <input type="file" accept=".safetensors" multiple hidden>
  </div>
</div>
"""
LARGEST_WEIGHT = 2
STEP = 0.05


def build_loras(words: Words) -> None:
    gr.HTML(
        html_template=ROWS,
        js_on_load="darkroom.loras(element, props)",
        elem_id="lora-rows",
        apply_default_css=False,
        words={**words.group("loras"), "most": words.say("loras.at_most", count=MOST_LORAS)},
        most=MOST_LORAS,
        largest=LARGEST_WEIGHT,
        step=STEP,
    )
