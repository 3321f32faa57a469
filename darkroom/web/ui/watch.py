"""The panel that shows a picture being made. Its script asks /api/jobs by itself. Must not know: the form."""

import gradio as gr

from darkroom.web.words import Words

# No value of ours ever goes through the template: the script puts text in as text.
SKELETON = """
<section class="watch" data-activity="idle">
  <figure class="print"><img alt="" hidden><p class="empty"></p></figure>
  <div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" hidden><span></span></div>
  <div class="line"><strong class="activity" role="status"></strong><span class="detail"></span>
    <span class="left"></span><button type="button" class="stop" hidden></button>
    <div class="actions" hidden><button type="button" class="show"></button>
      <a class="open" target="_blank" rel="noopener"></a><a class="download" download></a></div></div>
  <p class="more" hidden></p>
  <p class="notice" role="status" hidden></p>
  <div class="failure" role="alert" hidden><strong></strong><p class="next"></p></div>
</section>
"""


def build_watch(words: Words) -> gr.HTML:
    """Its value, set from Python, is {"job": id, "seed": seed}: a job to follow from now on."""
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.watch(element, props, watch)",
        elem_id="watch",
        apply_default_css=False,
        language=words.language,
        words={**words.group("watch"), "failed": words.say("activity.failed")},
    )
