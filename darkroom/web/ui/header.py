"""The top line: the mark, the name, and what holds for the whole page: shortcuts, light or dark, the language.

Must not know: anything else on the page.
"""

import gradio as gr

from darkroom.web.static import static_text
from darkroom.web.words import LANGUAGES, Words

# Outlines of 20 × 20.
ICONS = {
    "light": '<circle cx="10" cy="10" r="3.5"/><path d="M10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.4 1.4M14.3'
    ' 14.3l1.4 1.4M4.3 15.7l1.4-1.4M14.3 5.7l1.4-1.4"/>',
    "system": '<rect x="3" y="4" width="14" height="9.5" rx="1.5"/><path d="M7.5 16.5h5"/>',
    "dark": '<path d="M16.5 11.7A6.8 6.8 0 0 1 8.3 3.5a6.8 6.8 0 1 0 8.2 8.2z"/>',
}


def build_header(words: Words) -> gr.HTML:
    choices = "".join(
        f'<button type="button" data-language="{language}" lang="{language}"'
        f' aria-pressed="{str(language == words.language).lower()}">{words.say(f"languages.{language}")}</button>'
        for language in LANGUAGES
    )
    return gr.HTML(
        html_template=(
            f'<header class="masthead">{static_text("mark.svg")}<h1>{words.say("name")}</h1>{_views(words)}'
            f'<button type="button" id="open-help" class="round" title="{words.say("help.open")} (?)"'
            f' aria-label="{words.say("help.open")}">?</button>{_themes(words)}'
            f'<div class="languages" role="group" aria-label="{words.say("languages.label")}">{choices}</div></header>'
        ),
        js_on_load="darkroom.languages(element); darkroom.theme(element); darkroom.views.paint()",
        elem_id="masthead",
        apply_default_css=False,
    )


def _views(words: Words) -> str:
    links = "".join(
        f'<a href="{address}" data-view="{view}">{words.say(f"views.{view}")}</a>'
        for view, address in (("create", "#/"), ("queue", "#/queue"), ("history", "#/history"), ("models", "#/models"))
    )
    return f'<nav class="views" aria-label="{words.say("views.label")}">{links}</nav>'


def _themes(words: Words) -> str:
    buttons = "".join(
        f'<button type="button" data-theme="{theme}" title="{words.say(f"theme.{theme}")}"'
        f' aria-label="{words.say(f"theme.{theme}")}"><svg viewBox="0 0 20 20" aria-hidden="true">{icon}</svg></button>'
        for theme, icon in ICONS.items()
    )
    return f'<div class="themes" role="group" aria-label="{words.say("theme.label")}">{buttons}</div>'
