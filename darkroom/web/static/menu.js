// A button that opens a short list of things to do: darkroom.menu("More", [{label, run}]). A label that depends on something
// is a function.
darkroom.menu = (name, items) => {
  const { make, icon } = darkroom;
  const button = make("button", {
    type: "button", className: "more", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": name, title: name,
  }, icon("down"));
  const list = make("div", { className: "menu", role: "menu", "aria-label": name, hidden: true });
  const said = (label) => (typeof label === "function" ? label() : label);
  const entries = items.map(({ label, run }) => {
    const entry = make("button", { type: "button", role: "menuitem", tabIndex: -1, textContent: said(label) });
    entry.addEventListener("click", () => {
      shut();
      run();
    });
    return entry;
  });
  const holder = make("span", { className: "menu-holder" }, button, list);
  list.append(...entries);

  function open() {
    entries.forEach((entry, place) => (entry.textContent = said(items[place].label)));
    list.hidden = false;
    list.classList.remove("above");
    const floor = (holder.closest(".facts, dialog") ?? document.documentElement).getBoundingClientRect().bottom;
    list.classList.toggle("above", list.getBoundingClientRect().bottom > Math.min(floor, window.innerHeight));
    button.setAttribute("aria-expanded", "true");
    entries[0].focus();
  }

  function shut() {
    if (list.hidden) return;
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
    button.focus();
  }

  button.addEventListener("click", () => (list.hidden ? open() : shut()));
  holder.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const place = entries.indexOf(document.activeElement);
    const turn = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (turn !== undefined) entries[(turn + entries.length) % entries.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") shut();
    else return;
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!list.hidden && !holder.contains(event.target)) {
      list.hidden = true;
      button.setAttribute("aria-expanded", "false");
    }
  });
  return holder;
};
