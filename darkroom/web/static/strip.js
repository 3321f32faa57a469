// The film strip below the tray: what is being made, each with its progress, then the pictures made last. Choosing one of
// them lays it into the tray; choosing one being made goes back to watching.
darkroom.strip = (element) => {
  const { ask, fill, icon, language, make, on, tell } = darkroom;
  const words = darkroom.words.strip;
  const PAGE = 30;
  const MOST = 150; // whoever wants to go further back goes to the history
  const strip = element.querySelector(".strip");
  const line = element.querySelector(".queue");
  const film = element.querySelector(".film");
  const more = make("span", { className: "more-waiting" });
  const all = make("a", { className: "all", href: "#/history", textContent: darkroom.words.views.history });
  const jobs = new Map();
  let next = null;
  let loading = false;
  let chosen = null;

  line.setAttribute("aria-label", words.queue);
  film.setAttribute("aria-label", words.recent);

  const tiles = () => [...film.querySelectorAll(".tile")];
  const settle = () => (strip.hidden = !jobs.size && !tiles().length);

  // --- what is being made

  function showJobs({ jobs: news, count, cutOff }) {
    if (cutOff) return;
    for (const [id, frame] of jobs) {
      if (news.some((job) => job.id === id)) continue;
      frame.remove();
      jobs.delete(id);
    }
    for (const job of news) paint(jobs.get(job.id) ?? frameOf(job), job);
    const hidden = count - news.length;
    more.textContent = hidden > 0 ? fill(words.more, { count: hidden }) : "";
    line.hidden = !news.length;
    // The order changes only when jobs come and go; a frame that stays keeps the focus.
    const frames = news.map((job) => jobs.get(job.id));
    if (frames.some((frame, place) => line.children[place] !== frame)) line.replaceChildren(...frames);
    if (more.textContent) line.append(more);
    else more.remove();
    settle();
  }

  function frameOf(job) {
    const image = make("img", { alt: "", hidden: true });
    const look = make("button", { type: "button", className: "look" }, image, make("span", { className: "bar" }));
    const remove = make("button", { type: "button", className: "remove" }, icon("close"));
    const name = fill(words.remove, { prompt: job.prompt });
    remove.setAttribute("aria-label", name);
    remove.title = name;
    // What was laid aside is not to be watched; where it goes on is the queue.
    look.addEventListener("click", () => (frame.classList.contains("resting") ? darkroom.views.show("queue") : tell("live")));
    remove.addEventListener("click", () => {
      remove.disabled = true;
      darkroom.queue.stop(job.id).catch(() => (remove.disabled = false));
    });
    const frame = make("div", { className: "job", role: "listitem" }, look, remove);
    frame.style.setProperty("--ratio", job.width / job.height);
    jobs.set(job.id, frame);
    return frame;
  }

  function paint(frame, job) {
    const look = frame.querySelector(".look");
    const image = frame.querySelector("img");
    frame.classList.toggle("waiting", job.state === "waiting");
    frame.classList.toggle("resting", job.state === "paused");
    frame.classList.toggle("unknown", job.state === "running" && job.progress === null);
    frame.style.setProperty("--done", job.progress ?? 0);
    const name = fill(words[job.state], { prompt: job.prompt });
    look.setAttribute("aria-label", name);
    look.title = name;
    if (!job.preview_number || Number(image.dataset.number) === job.preview_number) return;
    image.dataset.number = job.preview_number;
    image.src = `/api/jobs/${job.id}/preview?n=${job.preview_number}`;
    image.hidden = false;
  }

  // --- the pictures made last

  async function load(first) {
    if (loading || (!first && next === null)) return;
    loading = true;
    try {
      const query = new URLSearchParams({ limit: PAGE, lang: language });
      if (!first) query.set("cursor", next);
      const found = await ask(`/api/history?${query}`);
      next = tiles().length + PAGE < MOST ? found.next : null;
      film.append(...found.pictures.map(tileOf));
      if (next === null && found.next !== null) film.append(all);
      ready();
      if (first) tell("recent", { newest: found.pictures[0]?.id ?? null });
    } catch {
      setTimeout(() => load(first), 3000);
    } finally {
      loading = false;
    }
  }

  function tileOf(picture) {
    const image = make("img", { alt: "", decoding: "async", src: picture.thumbnail });
    const tile = make("button", { type: "button", className: "tile", title: picture.title, tabIndex: -1 }, image, icon("star"));
    tile.setAttribute("aria-label", picture.title);
    tile.dataset.id = picture.id;
    tile.style.setProperty("--ratio", picture.width / picture.height);
    tile.classList.toggle("starred", picture.starred);
    tile.addEventListener("click", () => tell("choose", { id: picture.id }));
    return tile;
  }

  function ready() {
    const found = tiles();
    for (const tile of found) {
      const current = Number(tile.dataset.id) === chosen;
      tile.classList.toggle("chosen", current);
      if (current) tile.setAttribute("aria-current", "true");
      else tile.removeAttribute("aria-current");
    }
    const stop = found.find((tile) => tile.tabIndex === 0);
    if (!stop && found[0]) found[0].tabIndex = 0;
    settle();
  }

  function add(tile) {
    if (film.querySelector(`[data-id="${tile.id}"]`)) return;
    const after = tiles().find((other) => Number(other.dataset.id) < tile.id);
    if (after) after.before(tileOf(tile));
    else if (next === null) film.append(tileOf(tile));
    ready();
  }

  film.addEventListener("scroll", () => film.scrollLeft + film.clientWidth * 2 > film.scrollWidth && load(false), { passive: true });
  film.addEventListener("keydown", (event) => {
    const found = tiles();
    const place = found.indexOf(document.activeElement);
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: found.length - 1 }[event.key];
    if (place < 0 || to === undefined || !found[to]) {
      if (event.key === "Delete" && place >= 0) darkroom.pictures.trash(Number(found[place].dataset.id));
      return;
    }
    event.preventDefault();
    found[place].tabIndex = -1;
    found[to].tabIndex = 0;
    found[to].focus();
  });

  darkroom.queue.follow(showJobs);
  on("made", ({ tiles: made, isAll }) => {
    if (isAll || loading) return made.forEach(add);
    film.replaceChildren();
    next = null;
    load(true);
  });
  on("shown", ({ id }) => {
    chosen = id;
    ready();
  });
  on("changed", ({ kind, tiles: changed }) => {
    for (const tile of changed) {
      const found = film.querySelector(`[data-id="${tile.id}"]`);
      if (kind === "star") found?.classList.toggle("starred", tile.starred);
      else if (kind === "restore") add(tile);
      else if (found) drop(found);
    }
  });

  function drop(tile) {
    const beside = tile.nextElementSibling ?? tile.previousElementSibling;
    const focused = tile === document.activeElement;
    tile.remove();
    ready();
    if (focused) beside?.focus();
  }

  load(true);
};
