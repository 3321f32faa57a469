// The two views of the page, Create and History, by the address's #: so the browser's own Back works, and a reload stays.
darkroom.views = (() => {
  const { tell } = darkroom;
  const places = {};

  const named = () => (location.hash === "#/history" ? "history" : "create");

  function paint() {
    const root = document.documentElement;
    const name = named();
    const before = root.dataset.view;
    if (before && before !== name) places[before] = window.scrollY;
    root.dataset.view = name;
    for (const link of document.querySelectorAll(".views a")) {
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (before && before !== name) {
      window.scrollTo(0, places[name] ?? 0);
      tell("view", { name });
    }
  }

  function show(name) {
    if (named() === name) return;
    location.hash = name === "history" ? "#/history" : "#/";
    paint();
  }

  window.addEventListener("hashchange", paint);
  darkroom.on("live", () => show("create"));
  paint();

  return { show, paint };
})();
