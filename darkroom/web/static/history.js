// The history's own view: search, starred or in the trash, newest or oldest first, above the contact sheet.
darkroom.history = (element) => {
  const { ask, fill, icon, language, make, memory, number, on, say } = darkroom;
  const words = darkroom.words.history;
  const PAGE = 80;
  const TYPING = 200;
  const find = (selector) => element.querySelector(selector);
  const search = find("input[type=search]");
  const nothing = find(".nothing");

  let starred = false;
  let trash = false;
  let order = memory.read("order", "newest") === "oldest" ? "oldest" : "newest";
  let total = 0;
  let begun = false;
  let turned = false; // a person has chosen another list, which is on its way
  let lists = 0; // answers about an older one are dropped
  let trouble = ""; // why the list could not be read

  const toggle = (name, label, run) => {
    const button = make("button", { type: "button", className: `filter ${name}`, "aria-pressed": "false" }, icon(name), make("span", {}, label));
    button.addEventListener("click", run);
    return button;
  };
  const star = toggle("star", words.starred, () => {
    starred = !starred;
    turn();
  });
  const bin = toggle("trash", words.trash, () => {
    trash = !trash;
    turn();
  });
  const sort = make("select", { className: "order", "aria-label": words.order });
  sort.append(...["newest", "oldest"].map((value) => make("option", { value, textContent: words[value] })));
  sort.value = order;
  sort.addEventListener("change", () => {
    order = sort.value;
    memory.write("order", order);
    turn();
  });
  const read = make("button", { type: "button", className: "filter read", title: darkroom.words.reuse.read_hint }, icon("picture"), make("span", {}, darkroom.words.reuse.read));
  read.addEventListener("click", () => darkroom.reading.choose());

  find("h2").textContent = words.title;
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  const select = make("button", { type: "button", className: "filter select", title: words.select_about }, icon("check"), make("span", {}, words.select));
  select.addEventListener("click", () => selection.begin());
  find(".filters").append(star, sort, bin, select, read);

  const list = () => ({ q: search.value.trim(), starred: starred || "", trash: trash || "" });
  const query = (more = {}) => new URLSearchParams(Object.entries({ ...more, ...list() }).filter(([, value]) => value !== ""));
  const newestFirst = () => order === "newest";

  const selection = darkroom.selection({
    bar: find(".selecting"), surface: find(".sheet"), view: find(".history"), sheet: () => sheet, list, inTrash: () => trash,
  });
  const rubbish = darkroom.trash(find(".rubbish"), {
    emptied() {
      selection.leave();
      restart();
    },
  });

  // What a small button or a key asks for: of what is selected, if anything is.
  function act(what, ids) {
    const { pictures } = darkroom;
    if (selection.is()) selection.run(what === "unstar" ? "star" : what);
    else if (what === "star" || what === "unstar") pictures.star(ids, what === "star");
    else pictures[what](ids);
  }

  const sheet = darkroom.sheet(find(".sheet"), {
    label: words.sheet,
    act,
    picking: selection,
    inTrash: () => trash,
    open: (id) => darkroom.view(id, { within: list() }),
    fetchPage(cursor) {
      return ask(`/api/history?${query({ limit: PAGE, lang: language, order, cursor: cursor ?? "" })}`);
    },
    told({ total: whole, isFirst }) {
      trouble = "";
      if (whole !== null) total = whole;
      tell();
      if (isFirst && turned) rewind();
    },
    failed(problem, { isFirst, isFinal }) {
      trouble = (isFinal && problem.words) || words.failed;
      if (isFirst) total = 0;
      tell();
    },
  });

  // A person's choice of another list begins at its beginning; the tools, which stick, do not move.
  function turn() {
    turned = true;
    restart();
  }

  function rewind() {
    turned = false;
    const view = find(".history");
    if (view.getBoundingClientRect().top < 0) view.scrollIntoView();
  }

  function tell() {
    const none = starred ? words[trash ? "trash_none_starred" : "none_starred"] : trash ? words.trash_empty : words.empty;
    const empty = search.value.trim() ? words.none_found : none;
    say(nothing, trouble || (total ? "" : empty));
    const count = total === 1 ? words.one : fill(words.count, { count: number(total) });
    find(".count").textContent = total ? count : "";
    select.disabled = !total;
  }

  function restart() {
    begun = true;
    lists += 1;
    star.setAttribute("aria-pressed", String(starred));
    bin.setAttribute("aria-pressed", String(trash));
    element.querySelector(".history").classList.toggle("trashed", trash);
    rubbish.show(trash);
    sheet.restart();
  }

  const fits = (tile, inTrash) => inTrash === trash && (!starred || tile.starred);

  // Whether what comes has the words of a search, only the server knows.
  async function change({ gone = [], come = [] }) {
    if (!come.length || !list().q) return settle({ gone, come });
    const mine = lists;
    if (gone.length) settle({ gone });
    try {
      const found = new Set((await ask(`/api/selection?${query()}`)).ids);
      if (mine === lists) settle({ come: come.filter(({ id }) => found.has(id)) });
    } catch {
      if (mine === lists) restart();
    }
  }

  function settle({ gone = [], come = [] }) {
    const { went, came } = sheet.change({ gone, come, newestFirst: newestFirst() });
    total += came - went;
    tell();
    // Of what lies beyond the pages that were fetched only the server knows whether it is part of the list.
    if (went + came < gone.length + come.length && !sheet.isWhole()) recount();
  }

  async function recount() {
    try {
      total = (await ask(`/api/history?${query({ limit: 1 })}`)).total;
      if (total && !sheet.all().length) restart();
      else tell();
    } catch {
      // The next look at the list says it.
    }
  }

  on("made", ({ tiles, isAll }) => {
    if (!begun) return;
    if (!isAll) return restart();
    const come = tiles.filter((tile) => fits(tile, false));
    if (come.length) change({ come });
  });
  on("changed", ({ kind, tiles }) => {
    if (!begun) return;
    if (kind === "star") {
      for (const { id, starred: has } of tiles) sheet.star(id, has);
      if (!starred) return;
    }
    const stays = (tile) => kind !== "purge" && fits(tile, kind === "trash" || (kind === "star" && trash));
    change({ gone: tiles.filter((tile) => !stays(tile)).map(({ id }) => id), come: tiles.filter(stays) });
    if (trash) rubbish.show(true);
  });
  on("view", ({ name }) => {
    if (name !== "history") return;
    if (begun) sheet.draw();
    else restart();
  });
  on("viewer-closed", ({ id }) => {
    if (id && document.documentElement.dataset.view === "history") sheet.focusOn(id, { newestFirst: newestFirst() });
  });

  let typing = 0;
  const typed = ({ isComposing }) => {
    clearTimeout(typing);
    if (!isComposing) typing = setTimeout(turn, TYPING);
  };
  search.addEventListener("input", typed);
  search.addEventListener("compositionend", () => typed({ isComposing: false }));

  // Of the whole list only: a reload begins with that one.
  const isWhole = () => !Object.values(list()).some(Boolean);
  const place = darkroom.place("place", {
    seen: () => (isWhole() ? sheet.seen() : null),
    putBack: (found, { isWanted }) => sheet.putBack(found, { newestFirst: newestFirst(), isWanted }),
  });
  if (document.documentElement.dataset.view !== "history") return;
  restart();
  place.restore();
};
