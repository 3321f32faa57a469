// One picture held up to the light: as large as the window, with everything that made it beside it. The list it is turned
// in, {q, starred, trash}, is asked of the server, so it works from the sheet, the strip, the tray or a link alike.
darkroom.viewer = (element) => {
  const { icon, language, make, pictures } = darkroom;
  const words = darkroom.words.viewer;
  const STRAY = 10; // pixels a hand may move in a click
  const find = (selector) => element.querySelector(selector);
  const dialog = find("dialog");
  const stage = find(".stage");
  const image = find(".stage img");
  const damaged = make("p", { className: "damaged", role: "status", hidden: true });
  const seen = new Map(); // the neighbours, asked for ahead
  let picture = null;
  let list = {};
  let wanted = 0;
  let asking = null; // what stands beside the picture shown, after one of these was gone
  let came = null;

  dialog.setAttribute("aria-label", words.title);
  dialog.tabIndex = -1;
  const button = (name, label, run) => {
    const made = make("button", { type: "button", className: `tool ${name}`, "aria-label": label, title: label }, icon(name));
    made.addEventListener("click", run);
    return made;
  };
  const newer = button("left", words.newer, () => turn(-1));
  const older = button("right", words.older, () => turn(1));
  const percent = make("button", { type: "button", className: "tool percent", title: words.fit, "aria-label": words.fit });
  const parameters = button("info", words.parameters, () => showFacts(dialog.classList.contains("bare")));
  const full = button("expand", words.full_screen, fullScreen);
  const close = button("close", words.close, () => dialog.close());
  const actions = darkroom.actions({ view: null });
  const zoom = darkroom.zoom(stage, image, {
    turn,
    changed: (_, shown) => (percent.textContent = `${Math.round(shown * 100)} %`),
  });
  percent.addEventListener("click", () => zoom.toggle());
  stage.append(damaged, newer, older);
  find(".tools").append(
    button("minus", words.zoom_out, zoom.out), percent, button("plus", words.zoom_in, zoom.in), full, parameters, close,
  );
  find(".foot").append(actions.element);
  const copyPrompt = button("copy", words.copy_prompt, () => pictures.copyText(picture.request.prompt, words.prompt_copied));
  find(".prompt-line").append(copyPrompt);
  showFacts(darkroom.memory.read("facts", true));

  function showFacts(wish) {
    dialog.classList.toggle("bare", !wish);
    parameters.setAttribute("aria-pressed", String(wish));
    darkroom.memory.write("facts", wish);
  }

  async function open(id, { within = {} } = {}) {
    list = Object.fromEntries(Object.entries(within).filter(([, value]) => value));
    seen.clear();
    came = document.activeElement;
    picture = null;
    dialog.showModal(); // at once: keys pressed from now on are for it
    dialog.focus();
    darkroom.layers.add(dialog);
    await show(id);
  }

  async function show(id) {
    wanted = id;
    let found;
    try {
      found = await (seen.get(id) ?? pictures.get(id, list));
    } catch (problem) {
      if (wanted !== id) return;
      darkroom.toast(problem.words || darkroom.words.picture.failed);
      if (problem.status === 404) pass(id);
      else if (!picture) dialog.close();
      return;
    }
    if (wanted !== id) return;
    picture = found;
    paint();
    zoom.fit();
    seen.clear();
    for (const beside of [picture.newer, picture.older]) if (beside) ahead(beside);
  }

  // Another page has removed it for good: the picture shown is asked what stands beside it now.
  function pass(id) {
    if (picture?.older === id) picture.older = null;
    if (picture?.newer === id) picture.newer = null;
    pictures.forget([id]);
    if (!picture) dialog.close();
    else if (wanted === id && picture.id !== id) asking = show(picture.id);
  }

  // So that the next turn shows its picture at once.
  function ahead(id) {
    const asked = pictures.get(id, list);
    seen.set(id, asked);
    asked.then((found) => found.file_is_whole && (new Image().src = found.picture)).catch(() => seen.delete(id));
  }

  function paint() {
    image.hidden = false;
    darkroom.say(damaged, "");
    const shown = picture.id;
    if (picture.file_is_whole) {
      image.src = picture.picture;
      image.decode().catch(() => miss(shown));
    } else miss(shown);
    image.alt = picture.title;
    image.style.setProperty("--ratio", picture.width / picture.height);
    const made = new Date(picture.created_at).toLocaleString(language === "zh" ? "zh-CN" : "en-GB", {
      dateStyle: "medium", timeStyle: "short",
    });
    find(".number").textContent = `${picture.id} · ${made}`;
    find(".prompt").textContent = picture.request.prompt || darkroom.words.history.no_prompt;
    find(".prompt").classList.toggle("long", picture.request.prompt.length > 400);
    copyPrompt.hidden = !picture.request.prompt;
    find("dl").replaceChildren(...picture.rows.flatMap(([name, value]) => [
      make("dt", { textContent: name }), make("dd", { textContent: value }),
    ]));
    newer.disabled = !picture.newer;
    older.disabled = !picture.older;
    actions.show(picture);
    // A button that was pressed and is of no use now does not take the keyboard with it.
    if (!dialog.contains(document.activeElement) || document.activeElement.disabled) dialog.focus();
  }

  async function miss(id) {
    const trouble = wanted === id && (await pictures.trouble(picture));
    if (!trouble || wanted !== id) return;
    image.hidden = true;
    image.removeAttribute("src");
    darkroom.say(damaged, trouble);
  }

  // A turn that is asked for while a picture's neighbours are being asked waits for them.
  async function turn(by) {
    await asking;
    const next = by < 0 ? picture?.newer : picture?.older;
    if (next) show(next);
  }

  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen?.().catch(() => {});
  }
  document.addEventListener("fullscreenchange", () => {
    const label = document.fullscreenElement ? words.leave_full_screen : words.full_screen;
    full.title = label;
    full.setAttribute("aria-label", label);
    zoom.fit();
  });

  const KEYS = {
    ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), "+": zoom.in, "=": zoom.in, "-": zoom.out, 0: zoom.fit,
    f: fullScreen, i: () => parameters.click(), s: actions.star, Delete: actions.trash,
  };
  // What had the focus may have been hidden since; then the keys arrive at the page itself.
  document.addEventListener("keydown", (event) => {
    if (!dialog.open || (event.target !== document.body && !dialog.contains(event.target))) return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog.sure[open]")) return;
    const run = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run || event.target.closest("[role=menu]")) return;
    event.preventDefault();
    run();
  });
  // A click beside the picture puts it away; a picture one has zoomed into is kept. A swipe may end there and is no click.
  let pressed = null;
  stage.addEventListener("pointerdown", (event) => (pressed = event));
  stage.addEventListener("click", (event) => {
    const isBeside = event.target === stage && pressed?.target === stage && event.detail === 1;
    const isStill = isBeside && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) < STRAY;
    if (isStill && !stage.classList.contains("zoomed") && !document.fullscreenElement) dialog.close();
  });
  dialog.addEventListener("close", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    image.removeAttribute("src");
    wanted = 0;
    if (came?.isConnected) came.focus();
    darkroom.tell("viewer-closed", { id: picture?.id });
  });

  darkroom.on("changed", ({ kind, tiles }) => {
    seen.clear();
    const tile = tiles.find(({ id }) => id === picture?.id);
    if (!tile) return;
    if (kind === "star") picture = { ...picture, starred: tile.starred };
    else if (dialog.open) leave();
  });

  // The picture shown has left this list: the next one takes its place.
  function leave() {
    const next = picture.older ?? picture.newer;
    if (next) show(next);
    else dialog.close();
  }

  darkroom.view = open;
  darkroom.on("reused", () => dialog.open && dialog.close());
  darkroom.on("live", () => dialog.open && dialog.close());
};
