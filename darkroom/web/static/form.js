// The form's values by name: what this browser remembers of them, what the server says about them, and how to change one.
// Fields are Gradio's; a value goes in as if a person had typed it. Must not know: what any field is for.
darkroom.form = (() => {
  const CHECK_AFTER = 250;
  const KEPT = "form";
  const LOOK_AGAIN = 10;
  const LOOKS = 100;
  const { ask, language, memory, on, tell } = darkroom;
  let values = {};
  let restored = false;
  let models = [];
  let timer = 0;
  let asked = 0;

  const input = (name) => document.querySelector(`#${name} textarea, #${name} input[type=number]`);

  // Gradio passes values in order and without names; they are kept by name, so that a later order finds them. `start` has
  // those of fields that are not Gradio's.
  function restore(names, given, start, offered) {
    models = offered;
    const kept = remembered();
    if (!models.includes(kept.model)) delete kept.model;
    values = { ...Object.fromEntries(names.map((name, place) => [name, given[place]])), ...start };
    for (const name of Object.keys(values)) if (isLike(kept[name], values[name])) values[name] = kept[name];
    settle(names, LOOKS);
    return names.map((name) => values[name]);
  }

  // Gradio takes a moment to put them in, and would overwrite what comes before that. What a person types meanwhile counts.
  function settle(names, looks) {
    const isIn = (name) => !input(name) || input(name).value === String(values[name] ?? "");
    if (looks && !names.every(isIn)) return setTimeout(settle, LOOK_AGAIN, names, looks - 1);
    values = read();
    restored = true;
    changed();
    return tell("restored");
  }

  // Two tabs have two forms; a new one begins with what was typed last in any.
  function remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(memory.key(KEPT))) ?? memory.read(KEPT, {});
    } catch {
      return memory.read(KEPT, {});
    }
  }

  function remember() {
    memory.write(KEPT, values);
    try {
      sessionStorage.setItem(memory.key(KEPT), JSON.stringify(values));
    } catch {
      // As where the browser keeps nothing at all.
    }
  }

  const isLike = (kept, value) => typeof kept === typeof value && Array.isArray(kept) === Array.isArray(value);

  // As they stand at this moment. Folded fields may not be on the page.
  function read() {
    return Object.fromEntries(
      Object.keys(values).map((name) => {
        const field = input(name);
        if (!field) return [name, values[name]];
        if (field.type !== "number") return [name, field.value];
        return [name, field.value === "" ? null : Number(field.value)];
      }),
    );
  }

  function set(name, value) {
    put(name, value);
    changed();
  }

  // Several at once, all of them checked by the server. A model that came after this page comes with a new one.
  function fill(several) {
    const isKnown = several.model === undefined || models.includes(several.model);
    if (isKnown) for (const [name, value] of Object.entries(several)) put(name, value);
    if (several.width > 0 && several.height > 0) tell("shape", several);
    tell("filled", several);
    if (isKnown) return changed();
    values = { ...read(), ...several };
    remember();
    return location.assign(location.pathname);
  }

  function put(name, value) {
    values[name] = value;
    const field = input(name);
    if (field && field.value !== String(value)) {
      const prototype = field.type === "number" ? HTMLInputElement.prototype : HTMLTextAreaElement.prototype;
      Object.getOwnPropertyDescriptor(prototype, "value").set.call(field, String(value));
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }

  // Like `set`, but the browser's own Undo takes it back.
  function write(name, text) {
    const field = input(name);
    if (!field) return set(name, text);
    if (field.value === text) return;
    field.focus({ preventScroll: true });
    field.select();
    if (!document.execCommand("insertText", false, text)) set(name, text);
    field.setSelectionRange(text.length, text.length);
  }

  function changed() {
    if (!restored) return;
    remember();
    tell("form", values);
    clearTimeout(timer);
    timer = setTimeout(check, CHECK_AFTER);
  }

  // The same rules as at Generate, said while there is time to change something.
  async function check() {
    const mine = ++asked;
    try {
      const asking = read();
      const found = await ask(`/api/check?lang=${language}`, { method: "POST", body: JSON.stringify(asking) });
      if (mine === asked) tell("checked", { ...found, prompt: asking.prompt });
    } catch {
      // Generate says why.
    }
  }

  document.addEventListener("input", (event) => {
    if (!event.target.closest?.("#controls")) return;
    const name = event.target.closest("[id]:is(.block)")?.id;
    if (restored && name in values && input(name) === event.target) {
      values = read();
      changed();
    }
  });

  on("checked", ({ problems }) => {
    for (const name of Object.keys(values)) input(name)?.toggleAttribute("data-wrong", name in problems);
    for (const name of Object.keys(values)) input(name)?.setAttribute("aria-invalid", name in problems);
  });

  // Whether these, and no others, are the models that can be chosen.
  const offers = (names) => names.length === models.length && names.every((name) => models.includes(name));

  return { restore, read, set, fill, write, input, offers, get restored() { return restored; } };
})();
