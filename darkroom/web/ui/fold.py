"""A line that unfolds what most people never need. What is folded stays on the page, so that scripts can fill it in.

Must not know: what is folded.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

SKELETON = """
<button type="button" class="fold" aria-expanded="false">
  <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M7 5l5 5-5 5"/></svg><span></span>
</button>
"""


@contextmanager
def folded(title: str, elem_id: str) -> Iterator[None]:
    """What is built inside is folded until somebody unfolds it; the browser remembers."""
    gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.fold(element, props)",
        elem_id=f"fold-{elem_id}",
        apply_default_css=False,
        title=title,
        folds=elem_id,
    )
    with gr.Column(elem_id=elem_id, elem_classes="folded"):
        yield
