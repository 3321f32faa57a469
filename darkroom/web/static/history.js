// The history's own view: search, starred or in the trash, newest or oldest first, above the contact sheet.
darkroom.history = (element) => {
  const { ask, fill, icon, make, memory, on, say } = darkroom;
  const words = darkroom.words.history;
  const language = document.documentElement.lang;
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

  const toggle = (name, label, run) => {
    const button = make("button", { type: "button", className: `filter ${name}`, "aria-pressed": "false" }, icon(name), make("span", {}, label));
    button.addEventListener("click", run);
    return button;
  };
  const star = toggle("star", words.starred, () => {
    starred = !starred;
    restart();
  });
  const bin = toggle("trash", words.trash, () => {
    trash = !trash;
    restart();
  });
  const sort = make("select", { className: "order", "aria-label": words.order });
  sort.append(...["newest", "oldest"].map((value) => make("option", { value, textContent: words[value] })));
  sort.value = order;
  sort.addEventListener("change", () => {
    order = sort.value;
    memory.write("order", order);
    restart();
  });
  const read = make("button", { type: "button", className: "filter read", title: darkroom.words.reuse.read_hint }, icon("picture"), make("span", {}, darkroom.words.reuse.read));
  read.addEventListener("click", () => darkroom.reading.choose());

  find("h2").textContent = words.title;
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  find(".filters").append(star, sort, bin, read);

  const list = () => ({ q: search.value.trim(), starred: starred || "", trash: trash || "" });
  const newestFirst = () => order === "newest";

  const sheet = darkroom.sheet(find(".sheet"), {
    label: words.sheet,
    open: (id) => darkroom.view(id, { within: list() }),
    fetchPage(cursor) {
      const asked = { limit: PAGE, lang: language, order, ...list() };
      const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""));
      if (cursor !== null) query.set("cursor", cursor);
      return ask(`/api/history?${query}`);
    },
    told({ total: whole }) {
      if (whole !== null) total = whole;
      tell();
    },
    failed: () => say(nothing, words.failed),
  });

  function tell() {
    const empty = search.value.trim() ? words.none_found : trash ? words.trash_empty : starred ? words.none_starred : words.empty;
    say(nothing, total ? "" : empty);
    say(find(".hint"), trash && total ? words.trash_hint : "");
    const count = total === 1 ? words.one : fill(words.count, { count: total.toLocaleString(language) });
    find(".count").textContent = total ? count : "";
  }

  function restart() {
    begun = true;
    star.setAttribute("aria-pressed", String(starred));
    bin.setAttribute("aria-pressed", String(trash));
    element.querySelector(".history").classList.toggle("trashed", trash);
    sheet.restart();
  }

  const belongs = (tile, inTrash) => inTrash === trash && (!starred || tile.starred) && !search.value.trim();

  on("picture", async ({ id }) => {
    if (!begun) return;
    const picture = await darkroom.pictures.get(id);
    if (belongs(picture, picture.in_trash) && !sheet.has(id)) {
      total += 1;
      sheet.add(picture, newestFirst());
      tell();
    }
  });
  on("changed", ({ kind, id, tile }) => {
    if (!begun) return;
    const here = sheet.has(id);
    if (kind === "star") {
      sheet.star(id, tile.starred);
      if (!starred || here === tile.starred) return;
    }
    const stays = kind !== "purge" && belongs(tile, kind === "trash" || (kind === "star" && trash));
    if (here && !stays && sheet.remove(id)) total -= 1;
    if (!here && stays) {
      total += 1;
      sheet.add(tile, newestFirst());
    }
    tell();
  });
  on("view", ({ name }) => {
    if (name !== "history") return;
    if (begun) sheet.draw();
    else restart();
  });
  on("viewer-closed", ({ id }) => {
    if (document.documentElement.dataset.view === "history" && sheet.has(id)) sheet.focusOn(id);
  });

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(restart, TYPING);
  });

  if (document.documentElement.dataset.view === "history") restart();
};
