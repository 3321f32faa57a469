"""The queue's own view: every job that is not finished, in the order of their turns. Must not know: how jobs run."""

import gradio as gr

# No value of ours ever goes through the template: the script puts text in as text.
SKELETON = """
<section class="queueing">
  <div class="toolbar"><h2></h2><p class="left"></p><p class="state" role="status"></p><div class="deeds"></div></div>
  <p class="cut-off" role="status" hidden></p>
  <ol class="jobs"></ol>
  <p class="rest" hidden><span></span><button type="button" class="quiet"></button></p>
  <p class="nothing" hidden></p>
  <section class="failures" hidden><div class="head"><h3></h3></div><ul class="jobs"></ul></section>
  <div class="wishes" role="group"></div>
</section>
"""


def build_queue() -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.line(element)",
        elem_id="queue",
        apply_default_css=False,
    )
