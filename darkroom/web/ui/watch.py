"""The tray: the picture being made, or a finished one. Its script asks the server. Must not know: the form."""

import gradio as gr

# No value of ours ever goes through the template: the script puts text in as text.
SKELETON = """
<section class="watch" data-activity="idle">
  <figure class="print">
    <img alt="" hidden><button type="button" class="open" hidden></button><p class="empty"></p>
  </figure>
  <div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" hidden><span></span></div>
  <div class="line"><span class="now"><strong class="activity" role="status"></strong><span class="detail"></span>
    <span class="left"></span></span><span class="doing"><button type="button" class="follow" hidden></button>
    <button type="button" class="stop" hidden></button></span></div>
  <p class="notice" role="status" hidden></p>
  <p class="cut-off" role="status" hidden></p>
  <div class="failure" role="alert" hidden><strong></strong><p class="next"></p></div>
  <div class="below"></div>
</section>
"""


def build_watch() -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.watch(element)",
        elem_id="watch",
        apply_default_css=False,
    )
