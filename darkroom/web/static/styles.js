// Styles: a sheet to pick from, which puts a style's words into the prompt as text; and a person's own styles.
darkroom.styles = (element, props) => {
  const { ask, fill, form, language, make, say } = darkroom;
  const { words } = props;
  const sheet = element.querySelector("[popover]");
  const find = (selector) => sheet.querySelector(selector);
  const editor = find(".edit");
  const search = find("input[type=search]");
  const send = (path, body) =>
    ask(`/api/styles${path}?lang=${language}`, { method: "POST", body: body instanceof Blob ? body : JSON.stringify(body) });

  let styles = null; // until they have come
  let managing = false;
  let editing = null;

  sheet.setAttribute("aria-label", words.title);
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  for (const name of ["about", "save", "import", "cancel", "keep"]) find(`.${name}`).textContent = words[name];
  find(".edit .hint").textContent = words.placeholder;
  for (const label of editor.querySelectorAll("label")) {
    label.firstElementChild.textContent = words[`field_${label.lastElementChild.name}`];
  }
  darkroom.placeSheet(sheet);

  async function load() {
    try {
      ({ styles } = await ask(`/api/styles?lang=${language}`));
    } catch (problem) {
      tell([problem.words || words.failed]);
    }
    show();
  }

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const found = (styles ?? []).filter((style) => style.name.toLowerCase().includes(wanted));
    find("ul").replaceChildren(...found.map(managing ? managed : picked));
    find("ul").classList.toggle("managing", managing);
    say(find(".nothing"), found.length || !styles ? "" : words.none_found);
    find(".manage").textContent = managing ? words.finish : words.manage;
    find(".manage").setAttribute("aria-pressed", managing);
  }

  function picked(style) {
    const button = make("button", { type: "button", className: "pick" }, style.name);
    button.title = [style.prompt, style.negative_prompt && `− ${style.negative_prompt}`].filter(Boolean).join("\n");
    button.addEventListener("click", () => attempt(() => put(style)));
    return make("li", {}, button);
  }

  function managed(style) {
    const change = make("button", { type: "button", className: "text-button" }, words.edit);
    const remove = make("button", { type: "button", className: "text-button remove" }, words.remove);
    change.setAttribute("aria-label", `${words.edit}: ${style.name}`);
    remove.setAttribute("aria-label", `${words.remove}: ${style.name}`);
    change.addEventListener("click", () => edit(style, style.name));
    remove.addEventListener("click", () => attempt(() => drop(style)));
    return make("li", {}, make("span", { className: "name" }, style.name), change, remove);
  }

  async function put(style) {
    const { prompt, negative_prompt, lines } = form.read();
    const styled = await send("/apply", { name: style.name, prompt, negative_prompt, lines: lines === true });
    form.set("negative_prompt", styled.negative_prompt);
    const focused = document.activeElement;
    form.write("prompt", styled.prompt);
    focused?.focus({ preventScroll: true });
  }

  // Whoever goes by keyboard stays in the list: the next one, or the last.
  async function drop(style) {
    const place = [...find("ul").children].findIndex((item) => item.contains(document.activeElement));
    await send("/remove", { name: style.name });
    await load();
    const undo = make("button", { type: "button", className: "text-button" }, words.undo);
    undo.addEventListener("click", () => attempt(() => bringBack(style)));
    tell([fill(words.removed, style)], undo);
    const rest = find("ul").children;
    (rest[Math.min(place, rest.length - 1)]?.querySelector(".remove") ?? undo).focus();
  }

  async function bringBack(style) {
    await send("", style);
    tell([]);
    await load();
    const item = [...find("ul").children].find((each) => each.firstElementChild.textContent === style.name);
    ((managing ? item?.querySelector(".remove") : item?.firstElementChild) ?? search).focus();
  }

  async function attempt(act) {
    try {
      await act();
    } catch (problem) {
      tell([problem.words || words.failed]);
    }
  }

  function tell(lines, ...parts) {
    const box = find(".said");
    box.replaceChildren(...lines.filter(Boolean).map((line) => make("p", {}, line)), ...parts);
    box.hidden = !box.childElementCount;
  }

  // --- a style of one's own

  function edit(style, was) {
    editing = was;
    find(".edit h2").textContent = was === null ? words.new : words.change;
    for (const name of ["name", "prompt", "negative_prompt"]) editor.elements[name].value = style[name] ?? "";
    find(".edit .wrong").textContent = "";
    editor.hidden = false;
    find(".browse").hidden = true;
    editor.elements.name.focus();
  }

  function browse() {
    editor.hidden = true;
    find(".browse").hidden = false;
  }

  editor.addEventListener("submit", async (event) => {
    event.preventDefault();
    const style = Object.fromEntries(new FormData(editor));
    try {
      await (editing === null ? send("", style) : send("/change", { ...style, was: editing }));
      browse();
      tell([]);
      await load();
    } catch (problem) {
      find(".edit .wrong").textContent = problem.words || words.failed;
    }
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    if (!event.repeat) editor.requestSubmit();
  });
  find(".cancel").addEventListener("click", browse);
  find(".save").addEventListener("click", () => {
    const { prompt, negative_prompt } = form.read();
    edit({ prompt, negative_prompt }, null);
  });
  find(".manage").addEventListener("click", () => {
    managing = !managing;
    show();
  });

  // --- other tools' files

  async function read(file) {
    await attempt(async () => {
      const report = await send("/import", file);
      await load();
      tell(report.lines);
    });
  }

  const chooser = find("input[type=file]");
  find(".import").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    if (chooser.files[0]) read(chooser.files[0]);
    chooser.value = "";
  });

  // For files that are dropped anywhere on the page.
  darkroom.styleFiles = {
    accepts: (file) => /\.(csv|json)$/i.test(file.name),
    read(file) {
      darkroom.views.show("create");
      if (!sheet.matches(":popover-open")) sheet.showPopover();
      browse();
      read(file);
    },
  };

  show();
  search.addEventListener("input", show);
  sheet.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    search.value = "";
    managing = false;
    browse();
    tell([]);
    load();
  });
};
