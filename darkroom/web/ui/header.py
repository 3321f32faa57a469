"""The top line: the mark, the name and the choice of language. Must not know: anything else on the page."""

import gradio as gr

from darkroom.web.static import static_text
from darkroom.web.words import LANGUAGES, Words


def build_header(words: Words) -> gr.HTML:
    choices = "".join(
        f'<button type="button" data-language="{language}" lang="{language}"'
        f' aria-pressed="{str(language == words.language).lower()}">{words.say(f"languages.{language}")}</button>'
        for language in LANGUAGES
    )
    return gr.HTML(
        html_template=(
            f'<header class="masthead">{static_text("mark.svg")}<h1>{words.say("name")}</h1>'
            f'<div class="languages" role="group" aria-label="{words.say("languages.label")}">{choices}</div></header>'
        ),
        js_on_load="darkroom.languages(element)",
        elem_id="masthead",
        apply_default_css=False,
    )
