"""The pictures made so far, newest first, and one of them in detail. Must not know: the form, or where files lie."""

import gradio as gr

from darkroom.web.words import Words

SKELETON = """
<section class="history">
  <div class="bar"><h2></h2><input type="search" autocomplete="off" spellcheck="false"></div>
  <div class="sheet"></div>
  <p class="nothing" hidden></p>
  <div class="sentinel" aria-hidden="true"></div>
  <dialog class="detail">
    <form method="dialog"><button class="close"></button></form>
    <div class="inside">
      <a class="full" target="_blank" rel="noopener"><img alt=""></a>
      <div class="facts">
        <p class="number"></p>
        <p class="prompt"></p>
        <dl></dl>
        <div class="actions"><button type="button" class="reuse"></button><a class="download" download></a></div>
        <div class="turn">
          <button type="button" class="newer"></button><button type="button" class="older"></button>
        </div>
      </div>
    </div>
  </dialog>
</section>
"""


def build_history(words: Words) -> gr.HTML:
    """Sends the event 'reuse' with {"id": picture}."""
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.history(element, props, (id) => trigger('reuse', {id}))",
        elem_id="history",
        apply_default_css=False,
        language=words.language,
        words={**words.group("history"), "download": words.say("watch.download")},
    )
