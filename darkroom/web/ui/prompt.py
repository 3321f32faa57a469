"""The prompt, and under it: how much of it is read, what FLUX does not understand, earlier prompts and styles.

Must not know: other fields, or what is done with the prompt.
"""

import gradio as gr

from darkroom.web.words import Words

# No value ever goes through the templates: the scripts put text in as text.
TOOLS = """
<div class="under-prompt">
  <div class="toolbar">
    <span class="tokens" hidden><span class="meter" aria-hidden="true"><i></i></span><span class="count"></span></span>
    <button type="button" class="quiet recall" popovertarget="recall"></button>
    <button type="button" class="quiet styles" popovertarget="styles"></button>
  </div>
  <div class="unread" role="status" hidden><span></span><button type="button" class="text-button"></button></div>
  <ul class="notes" aria-live="polite"></ul>
</div>
"""
RECALL = """
<div popover id="recall" class="sheet-of-prompts">
  <input type="search" autocomplete="off" spellcheck="false" autofocus>
  <ul></ul>
  <p class="nothing" hidden></p>
</div>
"""
STYLES = """
<div popover id="styles" class="sheet-of-styles">
  <div class="browse">
    <input type="search" autocomplete="off" spellcheck="false" autofocus>
    <p class="about"></p>
    <ul></ul>
    <p class="nothing" hidden></p>
    <div class="said" role="status" hidden></div>
    <div class="foot">
      <button type="button" class="quiet save"></button>
      <button type="button" class="quiet import"></button>
      <button type="button" class="quiet manage" aria-pressed="false"></button>
      <input type="file" accept=".csv,.json,text/csv,application/json" hidden>
    </div>
  </div>
  <form class="edit" hidden novalidate>
    <h2></h2>
    <label><span></span><input name="name" autocomplete="off"></label>
    <label><span></span><textarea name="prompt" rows="4"></textarea></label>
    <p class="hint"></p>
    <label><span></span><textarea name="negative_prompt" rows="2"></textarea></label>
    <p class="wrong" role="alert"></p>
    <div class="foot"><button class="quiet keep"></button><button type="button" class="quiet cancel"></button></div>
  </form>
</div>
"""


def build_prompt(words: Words) -> gr.Textbox:
    prompt = gr.Textbox(
        value="",
        label=words.say("fields.prompt"),
        placeholder=words.say("form.prompt_hint"),
        lines=4,
        max_lines=16,
        elem_id="prompt",
    )
    said = {**words.group("prompt"), "styles": words.say("styles.title")}
    _part("prompt-tools", TOOLS, "darkroom.promptTools(element, props)", said)
    _part("recall-sheet", RECALL, "darkroom.recall(element, props)", words.group("prompt"))
    fields = {f"field_{name}": words.say(f"fields.style.{name}") for name in ("name", "prompt", "negative_prompt")}
    _part("styles-sheet", STYLES, "darkroom.styles(element, props)", {**words.group("styles"), **fields})
    return prompt


def _part(elem_id: str, template: str, script: str, words: dict[str, str]) -> None:
    gr.HTML(html_template=template, js_on_load=script, elem_id=elem_id, apply_default_css=False, words=words)
