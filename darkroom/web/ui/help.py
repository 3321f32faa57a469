"""The sheet of shortcuts, opened by its button or the key "?". Must not know: what the shortcuts do."""

import gradio as gr

from darkroom.web.words import Words

SKELETON = """
<dialog class="help">
  <h2></h2>
  <dl></dl>
  <form method="dialog"><button class="quiet"></button></form>
</dialog>
"""
# The keys, with the name of what they do in the words below "shortcuts".
SHORTCUTS = (
    (("Ctrl", "Enter"), "generate"),
    (("Esc",), "escape"),
    (("↑", "↓"), "recall"),
    (("/",), "search"),
    (("?",), "help"),
    (("←", "→"), "turn"),
    (("+", "−", "0"), "zoom"),
    (("F",), "full_screen"),
    (("S",), "star"),
    (("Del",), "trash"),
    (("X",), "select"),
)


def build_help(words: Words) -> gr.HTML:
    return gr.HTML(
        html_template=SKELETON,
        js_on_load="darkroom.help(element, props)",
        elem_id="help",
        apply_default_css=False,
        rows=[[list(keys), words.say(f"shortcuts.{name}")] for keys, name in SHORTCUTS],
        words=words.group("help"),
    )
