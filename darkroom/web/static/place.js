// Where a person was in a long list, kept over a reload in the same tab. Whoever does anything meanwhile is not moved.
// `seen()` says where that is, or null; `putBack(place, { isWanted })` goes there. Must not know: what the list is of.
darkroom.place = (name, { seen, putBack }) => {
  const key = darkroom.memory.key(name);
  const ACTS = ["wheel", "touchmove", "pointerdown", "keydown"];

  function note() {
    try {
      sessionStorage.setItem(key, JSON.stringify(seen()));
    } catch {
      // A browser that keeps nothing begins at the top.
    }
  }

  function noted() {
    try {
      return JSON.parse(sessionStorage.getItem(key));
    } catch {
      return null;
    }
  }

  function restore() {
    const place = noted();
    if (!place || performance.getEntriesByType("navigation")[0]?.type === "navigate") return;
    const acted = new AbortController();
    for (const act of ACTS) window.addEventListener(act, () => acted.abort(), { capture: true, once: true, signal: acted.signal });
    putBack(place, { isWanted: () => !acted.signal.aborted }).finally(() => acted.abort());
  }

  window.addEventListener("pagehide", note);
  // A phone may end a page that is not seen without another word.
  document.addEventListener("visibilitychange", () => document.hidden && note());
  return { restore };
};
