// A contact sheet of any length. Every row but those near the window exists only as numbers, so ten thousand pictures need
// little memory; a page of them is fetched when the end comes near. Must not know: which pictures these are.
// `act(what, ids)` is called for a small button or key. `picking` answers for what is selected: is(), has(id), and press(place,
// event), which is true when the press was for it.
darkroom.sheet = (element, { fetchPage, open, act, picking, inTrash, label, told, failed }) => {
  const { make } = darkroom;
  const GAP = 8;
  const AHEAD = 900; // pixels above and below the window in which rows stay
  const RETRY = 3000;
  const TALLEST = 1.35; // a row may grow to this much of the usual height
  const LOWEST = 0.6; // and shrink to this

  let tiles = [];
  let rows = []; // {top, height, from, to}
  let shown = new Map(); // row number -> element
  let next = null;
  let ended = false;
  let loading = false;
  let page = null; // the one under way
  let round = 0; // answers of an older list are dropped
  let stale = true; // another list was asked for, and what is seen is still the one before
  let current = 0; // the tile that Tab reaches
  let width = 0;
  let frame = 0;

  element.setAttribute("role", "group");
  element.setAttribute("aria-label", label);

  const usual = () => (window.matchMedia("(max-width: 860px)").matches ? 108 : 176);
  const gap = () => (usual() < 150 ? 6 : GAP);

  function arrange() {
    const focused = element.contains(document.activeElement);
    width = element.clientWidth || width; // while it is not seen, as it was
    rows = [];
    let from = 0;
    let ratios = 0;
    let top = 0;
    const filled = (to) => (width - gap() * (to - from - 1)) / ratios;
    const close = (to, height) => {
      rows.push({ top, height, from, to });
      top += height + gap();
      from = to;
      ratios = 0;
    };
    for (let place = 0; place < tiles.length; place += 1) {
      const { ratio } = tiles[place];
      ratios += ratio;
      // Beside a picture that is very wide the others would be stamps: it begins a row of its own.
      if (place > from && filled(place + 1) < usual() * LOWEST) {
        ratios -= ratio;
        close(place, Math.min(filled(place), usual() * TALLEST));
        ratios = ratio;
      }
      const height = filled(place + 1);
      if (place === tiles.length - 1) close(place + 1, Math.min(height, usual()));
      else if (height <= usual() * TALLEST) close(place + 1, height);
    }
    element.style.height = `${Math.max(0, top - gap())}px`;
    for (const row of shown.values()) row.remove();
    shown = new Map();
    draw();
    if (focused && tiles.length) focus(current, { scroll: false });
  }

  // In a window of another width the pictures that were looked at stay where they were.
  function refit() {
    const before = element.getBoundingClientRect().top;
    const held = before < 0 ? rows[rowAt(usual() - before)] : null;
    arrange();
    const row = held && rows.find(({ to }) => held.from < to);
    if (row) window.scrollBy(0, element.getBoundingClientRect().top + row.top - before - held.top);
  }

  // Rows in sight, and a little more, get their elements; the others lose them. The row with the focus keeps its own.
  function draw() {
    frame = 0;
    if (!element.isConnected || !element.offsetParent) return;
    const offset = element.getBoundingClientRect().top;
    const first = -offset - AHEAD;
    const lastLine = -offset + window.innerHeight + AHEAD;
    for (const [number, row] of shown) {
      const { top, height } = rows[number] ?? {};
      if ((top + height < first || top > lastLine || top === undefined) && !row.contains(document.activeElement)) {
        row.remove();
        shown.delete(number);
      }
    }
    for (let number = rowAt(first); number < rows.length && rows[number].top <= lastLine; number += 1) {
      if (!shown.has(number)) insert(number, rowOf(rows[number]));
    }
    if (!ended && element.offsetHeight < lastLine + AHEAD) more();
  }

  // In the order of the rows, so that Tab and screen readers meet them in it.
  function insert(number, row) {
    const after = [...shown.keys()].filter((other) => other > number).sort((a, b) => a - b)[0];
    element.insertBefore(row, after === undefined ? null : shown.get(after));
    shown.set(number, row);
  }

  function rowAt(y) {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].top + rows[middle].height < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function rowOf({ top, height, from, to }) {
    const row = make("div", { className: "row" });
    row.style.cssText = `top:${top}px;height:${height}px;gap:${gap()}px`;
    for (let place = from; place < to; place += 1) row.append(cellOf(place, height));
    return row;
  }

  function cellOf(place, height) {
    const cell = darkroom.tile.build(tiles[place]);
    cell.dataset.place = place;
    cell.style.width = `${tiles[place].ratio * height}px`;
    if (place === current) cell.firstElementChild.tabIndex = 0;
    darkroom.tile.pick(cell, picking.is() ? picking.has(tiles[place].id) : null);
    return cell;
  }

  const small = ({ id, thumbnail, width: across, height, title, starred }) => ({ id, thumbnail, ratio: across / height, title, starred });

  function more() {
    if (!loading && !ended) page = fetchMore();
    return page;
  }

  async function fetchMore() {
    loading = true;
    const mine = round;
    try {
      const found = await fetchPage(next);
      if (mine !== round) return;
      const isFirst = stale;
      if (isFirst) clear();
      next = found.next;
      ended = next === null;
      tiles.push(...found.pictures.map(small));
      loading = false;
      arrange();
      told({ total: found.total, isFirst });
    } catch (problem) {
      if (mine !== round) return;
      ended = problem.status >= 400 && problem.status < 500; // asked again, the answer would be the same
      const isFirst = stale;
      if (isFirst) {
        clear();
        arrange();
      }
      failed(problem, { isFirst, isFinal: ended });
      if (!ended) setTimeout(() => {
        if (mine !== round) return;
        loading = false;
        more();
      }, RETRY);
    }
  }

  function wait(wish) {
    stale = wish;
    element.setAttribute("aria-busy", String(wish));
  }

  function clear() {
    wait(false);
    tiles = [];
    current = 0;
  }

  // What is seen stays until the other list is there, or cannot be read.
  function restart() {
    round += 1;
    next = null;
    ended = loading = false;
    wait(true);
    more();
  }

  // Where a picture of this number stands in the list, or would.
  function placeOf(id, newestFirst) {
    const found = tiles.findIndex((tile) => (newestFirst ? tile.id <= id : tile.id >= id));
    return found < 0 ? tiles.length : found;
  }

  // Some pictures go, some come; both at once, so that the sheet is laid out once. How many it were.
  function change({ gone = [], come = [], newestFirst = true }) {
    const leaving = new Set(gone);
    const held = tiles[current]?.id;
    const first = tiles.findIndex((tile) => leaving.has(tile.id));
    const before = tiles.length;
    if (first >= 0) tiles = tiles.filter((tile) => !leaving.has(tile.id));
    const went = before - tiles.length;
    for (const picture of come) {
      const place = placeOf(picture.id, newestFirst);
      if (tiles[place]?.id === picture.id || (place === tiles.length && !ended)) continue;
      tiles.splice(place, 0, small(picture));
    }
    const came = tiles.length - before + went;
    if (!went && !came) return { went, came };
    const place = tiles.findIndex((tile) => tile.id === held);
    current = place >= 0 ? place : Math.max(0, Math.min(first, tiles.length - 1));
    arrange();
    if (place < 0 && element.contains(document.activeElement)) document.activeElement.scrollIntoView({ block: "nearest" });
    return { went, came };
  }

  function star(id, starred) {
    const found = tiles.find((tile) => tile.id === id);
    if (found) found.starred = starred;
    const cell = element.querySelector(`[data-id="${id}"]`)?.parentElement;
    if (cell) darkroom.tile.star(cell, starred);
  }

  // After another choice of pictures.
  function repaint() {
    element.classList.toggle("picking", picking.is());
    for (const cell of element.querySelectorAll(".cell")) {
      darkroom.tile.pick(cell, picking.is() ? picking.has(tiles[cell.dataset.place].id) : null);
    }
  }

  function focus(place, { scroll = true } = {}) {
    const number = rows.findIndex((row) => place >= row.from && place < row.to);
    if (number < 0) return;
    element.querySelector('.tile[tabindex="0"]')?.setAttribute("tabindex", "-1");
    current = place;
    if (!shown.has(number)) insert(number, rowOf(rows[number]));
    const tile = element.querySelector(`[data-place="${place}"] > .tile`);
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
    if (scroll) tile.scrollIntoView({ block: "nearest" });
  }

  async function fetchUntil(isEnough) {
    for (let count = -1; count < tiles.length && !isEnough() && !ended;) {
      count = tiles.length;
      await more();
    }
  }

  // The first row in sight, by its first picture; null where the list is seen from its beginning, or not at all.
  function seen() {
    const offset = element.getBoundingClientRect().top;
    const row = offset < 0 && !stale ? rows[rowAt(-offset)] : null;
    return row ? { id: tiles[row.from].id, top: offset + row.top } : null;
  }

  // That picture, or the one that took its place, to where it was in the window.
  async function putBack({ id, top }, { newestFirst, isWanted }) {
    const mine = round;
    const found = () => {
      const place = placeOf(id, newestFirst);
      return rows.find(({ to }) => place < to);
    };
    await fetchUntil(() => !isWanted() || element.offsetHeight > found()?.top - top + window.innerHeight);
    const row = found() ?? rows.at(-1);
    if (mine !== round || !row || !isWanted()) return;
    window.scrollBy({ top: element.getBoundingClientRect().top + row.top - top, behavior: "instant" });
  }

  // A picture that was last seen elsewhere: pages are fetched until it is among them, or cannot be.
  async function focusOn(id, { newestFirst }) {
    const mine = round;
    await fetchUntil(() => placeOf(id, newestFirst) < tiles.length);
    const place = tiles.findIndex((tile) => tile.id === id);
    const isHere = document.activeElement === document.body || element.contains(document.activeElement);
    if (mine === round && place >= 0 && isHere) focus(place);
  }

  // The tile above or below whose middle is nearest.
  function beside(place, by) {
    const number = rows.findIndex((row) => place >= row.from && place < row.to);
    const row = rows[number + by];
    if (!row) return place;
    const middle = (at, line) => tiles.slice(line.from, at).reduce((sum, tile) => sum + tile.ratio * line.height + gap(), 0)
      + (tiles[at].ratio * line.height) / 2;
    const here = middle(place, rows[number]);
    let best = row.from;
    for (let at = row.from; at < row.to; at += 1) {
      if (Math.abs(middle(at, row) - here) < Math.abs(middle(best, row) - here)) best = at;
    }
    return best;
  }

  const placeAt = (event) => (stale ? -1 : Number(event.target.closest?.(".cell")?.dataset.place ?? -1));

  element.addEventListener("click", (event) => {
    const place = placeAt(event);
    if (place < 0) return;
    const what = event.target.closest(".on-tile")?.dataset.act;
    const { id, starred } = tiles[place];
    if (what && what !== "pick") return act(what === "star" && starred ? "unstar" : what, [id]);
    focus(place);
    if (!picking.press(place, event)) open(id);
  });
  for (const kind of ["pointerover", "focusin"]) {
    element.addEventListener(kind, (event) => {
      const place = placeAt(event);
      if (place >= 0) darkroom.tile.equip(event.target.closest(".cell"), tiles[place], { inTrash: inTrash() });
    });
  }
  // Tab leads from a tile to its own small buttons, and to no others.
  element.addEventListener("focusin", (event) => {
    for (const button of element.querySelectorAll('.on-tile[tabindex="0"]')) button.tabIndex = -1;
    for (const button of event.target.closest(".cell").querySelectorAll(".on-tile")) button.tabIndex = 0;
  });
  element.addEventListener("keydown", (event) => {
    const place = placeAt(event);
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const { id, starred } = tiles[place];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const to = {
      ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: beside(place, 1), ArrowUp: beside(place, -1),
      Home: 0, End: tiles.length - 1,
    }[key];
    if (to !== undefined) {
      focus(Math.max(0, Math.min(to, tiles.length - 1)));
      if (event.shiftKey && to !== place) picking.press(current, event);
    } else if (key === "Delete") act(inTrash() ? "purge" : "trash", [id]);
    else if (key === "s" && !inTrash()) act(starred ? "unstar" : "star", [id]);
    else if (key === "x") picking.press(place, event);
    else return;
    event.preventDefault();
  });

  const soon = () => (frame ||= requestAnimationFrame(draw));
  window.addEventListener("scroll", soon, { passive: true });
  window.addEventListener("resize", soon, { passive: true });
  new ResizeObserver(() => element.clientWidth && element.clientWidth !== width && refit()).observe(element);

  return {
    restart, change, star, repaint, draw: soon,
    all: () => tiles,
    isWhole: () => ended,
    focusOn, seen, putBack,
  };
};
