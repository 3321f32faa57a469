// What lies over the page, the topmost last: the browser's Back, on a phone a gesture, puts it away and leaves the page as it
// is. Each has an entry of its own in the browser's list; one that goes in another way takes its entry with it.
darkroom.layers = (() => {
  const LOOK_AGAIN = 10;
  const open = [];
  let leaving = false; // an entry is on its way out, and says so when it is gone

  const depth = () => window.history.state?.layers ?? 0;

  function settle() {
    if (leaving) return;
    while (depth() < open.length) window.history.pushState({ layers: depth() + 1 }, "");
    if (depth() === open.length) return;
    leaving = true;
    window.history.go(open.length - depth());
  }

  function add(dialog) {
    open.push(dialog);
    dialog.addEventListener("close", () => {
      if (open.includes(dialog)) open.splice(open.indexOf(dialog), 1);
      settle();
    }, { once: true });
    settle();
  }

  // Puts all of them away. The page can be changed then: before, their entries would still be on their way out.
  async function clear() {
    for (const dialog of [...open].reverse()) dialog.close();
    while (open.length || leaving) await new Promise((done) => setTimeout(done, LOOK_AGAIN));
  }

  window.addEventListener("popstate", () => {
    if (!leaving) while (open.length > depth()) open.pop().close();
    leaving = false;
    settle();
  });
  settle(); // a reload keeps the entries, but not what they stood for

  return { add, clear };
})();
