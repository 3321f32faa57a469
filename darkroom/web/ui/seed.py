"""The seed: a new one for every picture, or one that is kept. Must not know: how pictures use it."""

import gradio as gr

from darkroom.request import LARGEST_SEED, RANDOM_SEED
from darkroom.web.words import Words

TOOLS = """
<div class="seed-tools">
  <button type="button" class="press" id="random-seed" aria-pressed="true">
    <svg viewBox="0 0 20 20" aria-hidden="true"><rect x="3.5" y="3.5" width="13" height="13" rx="3"/>
      <g class="dots"><circle cx="7" cy="7" r="1.2"/><circle cx="13" cy="7" r="1.2"/>
      <circle cx="10" cy="10" r="1.2"/>
      <circle cx="7" cy="13" r="1.2"/><circle cx="13" cy="13" r="1.2"/></g></svg><span></span>
  </button>
  <button type="button" class="press" id="keep-seed" aria-pressed="false">
    <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M7.5 3.5h5l-.6 5 2.6 3h-9l2.6-3zM10 11.5V17"/></svg>
    <span></span>
  </button>
  <button type="button" class="press" id="last-seed">
    <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 10a6 6 0 1 1 2 4.5M4 15v-3.5h3.5"/></svg><span></span>
  </button>
</div>
"""
HINT = '<p class="hint" id="seed-said" role="status"></p>'


def build_seed(words: Words) -> gr.Number:
    with gr.Row(elem_id="seed-row", elem_classes="pair"):
        seed = gr.Number(value=RANDOM_SEED, step=1, label=words.say("fields.seed"), min_width=100, elem_id="seed")
        gr.HTML(
            html_template=TOOLS,
            js_on_load="darkroom.seed(element, props)",
            elem_id="seed-tools",
            apply_default_css=False,
            random=RANDOM_SEED,
            largest=LARGEST_SEED,
            words=words.group("seed"),
        )
    gr.HTML(html_template=HINT, js_on_load=None, elem_id="seed-hint", apply_default_css=False)
    return seed
