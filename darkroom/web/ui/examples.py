"""What a page shows that has made nothing yet: four prompts, each of which is a picture in one click.

Must not know: how pictures are made.
"""

import gradio as gr

from darkroom.web.words import Words

SKELETON = """
<section class="examples">
  <h2></h2><p></p>
  <div class="cards"></div>
</section>
"""


def build_examples(words: Words) -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.examples(element, props)",
        elem_id="examples",
        apply_default_css=False,
        words=words.group("first"),
        prompts=list(words.group("examples").values()),
    )
