// One picture of the contact sheet: the picture itself, and over it, once it is pointed at or has the focus, its small
// buttons. Which button was pressed is said by its name: pick, star, trash, restore or purge. Must not know: the sheet.
darkroom.tile = (() => {
  const { make } = darkroom;

  function build({ id, thumbnail, title, starred }) {
    const image = make("img", { alt: "", decoding: "async", src: thumbnail, draggable: false });
    const tile = make("button", { type: "button", className: "tile", title, tabIndex: -1 }, image, darkroom.icon("star"));
    tile.setAttribute("aria-label", title);
    tile.dataset.id = id;
    tile.classList.toggle("starred", starred);
    return make("div", { className: "cell" }, tile);
  }

  // Few are ever pointed at, so most tiles never have any.
  function equip(cell, { starred }, { inTrash }) {
    if (cell.querySelector(".small-tools")) return;
    const words = darkroom.words.picture;
    const button = (name, label) => {
      const made = make("button", { type: "button", className: `on-tile ${name}`, tabIndex: -1, title: label, "aria-label": label });
      made.append(darkroom.icon(name === "pick" ? "check" : name));
      made.dataset.act = name;
      return made;
    };
    const own = inTrash
      ? [button("restore", words.restore), button("purge", words.purge)]
      : [button("star", words.star), button("trash", words.trash)];
    if (!inTrash) own[0].setAttribute("aria-pressed", String(starred));
    cell.append(make("span", { className: "small-tools" }, button("pick", words.select), make("span", {}, ...own)));
  }

  function star(cell, starred) {
    cell.querySelector(".tile").classList.toggle("starred", starred);
    cell.querySelector(".on-tile.star")?.setAttribute("aria-pressed", String(starred));
  }

  // `picked` is null while nothing is being selected.
  function pick(cell, picked) {
    const tile = cell.querySelector(".tile");
    tile.classList.toggle("picked", Boolean(picked));
    if (picked === null) tile.removeAttribute("aria-pressed");
    else tile.setAttribute("aria-pressed", String(picked));
  }

  return { build, equip, star, pick };
})();
