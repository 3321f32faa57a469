"""Under the button: what a click will make and take, and prompts by the line. Must not know: how that is found."""

import gradio as gr

from darkroom.web.words import Words

# No value of ours ever goes through the template: the script puts text in as text.
SKELETON = """
<div class="batch">
  <p class="pictures" role="status" hidden></p>
  <div class="fit" hidden><p></p><button type="button" class="quiet" hidden></button></div>
  <label class="lines" hidden><input type="checkbox"><span></span></label>
  <button type="button" class="quiet file"></button>
  <input type="file" accept=".txt,text/plain" hidden tabindex="-1">
</div>
"""


def build_batch(words: Words) -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.batch(element, props); darkroom.fit(element)",
        elem_id="batch",
        apply_default_css=False,
        words=words.group("batch"),
    )
