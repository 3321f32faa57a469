// The views of the page, Create, Queue, History and Models, by the address's #: so the browser's own Back works, and a reload stays.
darkroom.views = (() => {
  const { tell } = darkroom;
  const OTHERS = ["queue", "history", "models"];
  const places = {};
  window.history.scrollRestoration = "manual"; // the browser's would come before the view has its height

  const named = () => OTHERS.find((name) => location.hash === `#/${name}`) ?? "create";

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
    location.hash = OTHERS.includes(name) ? `#/${name}` : "#/";
    paint();
  }

  window.addEventListener("hashchange", paint);
  // Whoever went to the queue meanwhile sees it there.
  darkroom.on("live", () => named() !== "queue" && show("create"));
  paint();

  return { show, paint };
})();
