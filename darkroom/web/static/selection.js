// Several pictures of the contact sheet at once: begun by a button, by Ctrl or Shift and a click, by a long press or the key X;
// left by Esc. A bar with what can be done takes the place of the sheet's tools. Must not know: which list is shown.
darkroom.selection = ({ bar, surface, view, sheet, list, inTrash }) => {
  const { ask, fill, icon, make, number, pictures } = darkroom;
  const words = darkroom.words.history;
  const said = darkroom.words.picture;
  const HOLD = 450; // milliseconds of a long press
  const STRAY = 10; // pixels a finger may move meanwhile
  const chosen = new Map(); // number of the picture -> whether it has a star
  let on = false;
  let anchor = null; // where a span begins that Shift ends
  let held = false; // a long press has been answered; the click that ends it is not another one
  let busy = false;

  const button = (name, label, run, picture = name) => {
    const made = make("button", { type: "button", className: `filter to-${name}`, title: label, "aria-label": label }, icon(picture), make("span", {}, label));
    made.addEventListener("click", run);
    return made;
  };
  const close = button("leave", words.select_leave, () => leave(), "close");
  const count = make("strong", { className: "chosen", role: "status" });
  const all = button("all", words.select_all, () => everything(), "checks");
  const star = button("star", said.star, () => run("star"));
  const download = button("download", said.download, () => run("download"));
  const trash = button("trash", said.trash, () => run("trash"));
  const restore = button("restore", said.restore, () => run("restore"));
  const purge = button("purge", said.purge, () => run("purge"));
  const deeds = make("div", { className: "deeds" }, star, restore, download, trash, purge);
  bar.append(close, count, all, deeds);
  bar.setAttribute("aria-label", words.selecting);

  const areStarred = () => chosen.size > 0 && [...chosen.values()].every(Boolean);

  function paint() {
    view.classList.toggle("is-selecting", on);
    const label = areStarred() ? said.unstar : said.star;
    star.title = label;
    star.setAttribute("aria-label", label);
    star.querySelector("span").textContent = areStarred() ? said.unstar_short : said.star;
    star.hidden = trash.hidden = inTrash();
    restore.hidden = purge.hidden = !inTrash();
    for (const deed of deeds.children) deed.disabled = !chosen.size || busy;
    const text = chosen.size === 1 ? words.selected_one : fill(words.selected, { count: number(chosen.size) });
    count.textContent = chosen.size ? text : words.select_hint;
    sheet().repaint();
  }

  function begin() {
    if (on) return;
    on = true;
    anchor = null;
    paint();
  }

  function leave() {
    const focused = bar.contains(document.activeElement);
    on = false;
    chosen.clear();
    paint();
    if (focused) view.querySelector(".filter.select").focus();
  }

  function put({ id, starred }, wish) {
    if (wish) chosen.set(id, starred);
    else chosen.delete(id);
  }

  function toggle(place) {
    const tile = sheet().all()[place];
    put(tile, !chosen.has(tile.id));
    anchor = tile.id;
  }

  function span(place) {
    const tiles = sheet().all();
    const from = tiles.findIndex(({ id }) => id === anchor);
    if (from < 0) return toggle(place);
    const [first, last] = from < place ? [from, place] : [place, from];
    for (const tile of tiles.slice(first, last + 1)) put(tile, true);
  }

  // Whether a click or a key on a tile was for this.
  function press(place, event) {
    if (held) {
      held = false;
      return true;
    }
    const isX = event.key?.toLowerCase() === "x";
    const asks = event.ctrlKey || event.metaKey || event.shiftKey || event.target.closest(".pick");
    if (!on && !isX && (!asks || event.type === "keydown")) return false;
    begin();
    if (event.shiftKey && !isX) span(place);
    else toggle(place);
    paint();
    return true;
  }

  // The whole list, also what has not been scrolled to.
  async function everything() {
    try {
      const found = await ask(`/api/selection?${new URLSearchParams(Object.entries(list()).filter(([, value]) => value !== ""))}`);
      const starred = new Set(found.starred);
      for (const id of found.ids) chosen.set(id, starred.has(id));
      paint();
    } catch (problem) {
      darkroom.toast(problem.words || said.failed);
    }
  }

  async function run(what) {
    const ids = [...chosen.keys()];
    if (!ids.length || busy) return;
    if (what === "download") return pictures.download(ids);
    busy = true;
    paint();
    const wish = !areStarred();
    const done = await (what === "star"
      ? pictures.star(ids.filter((id) => chosen.get(id) !== wish), wish)
      : pictures[what](ids));
    busy = false;
    if (done && what !== "star") leave();
    else paint();
  }

  // --- fingers

  let timer = 0;
  let start = null;
  const lift = () => clearTimeout(timer);
  surface.addEventListener("pointerdown", (event) => {
    lift();
    held = false;
    const cell = event.target.closest(".cell");
    if (event.pointerType !== "touch" || !cell || !event.isPrimary) return;
    start = event;
    timer = setTimeout(() => {
      begin();
      toggle(Number(cell.dataset.place));
      paint();
      held = true;
    }, HOLD);
  });
  surface.addEventListener("pointermove", (event) => {
    if (start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > STRAY) lift();
  });
  for (const kind of ["pointerup", "pointercancel"]) surface.addEventListener(kind, lift);
  surface.addEventListener("contextmenu", (event) => start?.pointerType === "touch" && event.preventDefault());

  // --- keys, before the page's own

  document.addEventListener("keydown", (event) => {
    if (!on || document.documentElement.dataset.view !== "history" || document.querySelector("dialog[open]")) return;
    const isAll = event.key === "a" && (event.ctrlKey || event.metaKey);
    if (event.key !== "Escape" && !isAll) return;
    event.preventDefault();
    event.stopPropagation();
    if (isAll) everything();
    else leave();
  }, true);

  darkroom.on("changed", ({ kind, tiles }) => {
    for (const { id, starred } of tiles) {
      if (!chosen.has(id)) continue;
      if (kind === "star") chosen.set(id, starred);
      else chosen.delete(id);
    }
    if (on) paint();
  });
  darkroom.on("view", () => on && leave());

  return { is: () => on, has: (id) => chosen.has(id), press, begin, leave, run };
};
