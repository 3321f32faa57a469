"""The history's own view: every picture made so far, to be searched and sorted. Must not know: the form, or files."""

import gradio as gr

from darkroom.history.search import LONGEST_SEARCH

SKELETON = f"""
<section class="history">
  <div class="toolbar">
    <h2></h2>
    <div class="looking">
      <input type="search" autocomplete="off" spellcheck="false" maxlength="{LONGEST_SEARCH}">
      <div class="filters"></div><span class="count" role="status"></span>
    </div>
    <div class="selecting" role="group"></div>
  </div>
  <div class="rubbish" hidden></div>
  <div class="sheet"></div>
  <p class="nothing" role="status" hidden></p>
</section>
"""


def build_history() -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.history(element)",
        elem_id="history",
        apply_default_css=False,
    )
