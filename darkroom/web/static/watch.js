// Follows this browser's jobs, one after the other, by asking /api/jobs: every 0.4 s, every 2 s when the page is hidden,
// ever more rarely while nobody answers. The jobs are remembered, so a reload shows them again.
darkroom.watch = (element, props, watch) => {
  const { memory, ask, fill, say } = darkroom;
  const SOON = 400;
  const HIDDEN = 2000;
  const RAREST = 10000;
  const PATIENCE = 8000;
  const ENDED = new Set(["done", "failed", "cancelled"]);
  const { words, language } = props;
  const find = (selector) => element.querySelector(selector);
  const panel = find(".watch");
  const image = find(".print img");
  const bar = find(".progress");
  const stop = find(".stop");

  let timer = 0;
  let looking = false;
  let failures = 0;
  let current = null;
  let previewShown = "";
  let stopping = null;

  find(".print .empty").textContent = words.empty;
  find(".open").textContent = words.open;
  find(".download").textContent = words.download;
  find(".show").textContent = words.details;
  stop.textContent = words.stop;
  panel.setAttribute("aria-label", words.title);

  const jobs = () => memory.read("jobs", []).filter(Number.isInteger);
  const forget = (job) => memory.write("jobs", jobs().filter((other) => other !== job));

  function delay() {
    if (failures) return Math.min(SOON * 2 ** failures, RAREST);
    return document.hidden ? HIDDEN : SOON;
  }

  async function look() {
    if (looking) return;
    clearTimeout(timer);
    const [job, ...waiting] = jobs();
    if (job === undefined) return;
    looking = true;
    try {
      const status = await ask(`/api/jobs/${job}?lang=${language}`);
      failures = 0;
      await show(status, waiting.length);
      if (ENDED.has(status.state)) forget(job);
    } catch (problem) {
      if (problem.status === 404) {
        forget(job);
        rest();
      } else {
        failures += 1;
        if (failures > 1) say(find(".notice"), words.cut_off);
      }
    } finally {
      looking = false;
    }
    if (jobs().length) timer = setTimeout(look, delay());
  }

  async function show(status, waiting) {
    if (current !== status.id) begin(status);
    panel.dataset.activity = status.activity;
    say(find(".activity"), status.words.activity);
    say(find(".detail"), status.words.detail);
    say(find(".left"), status.words.left);
    say(find(".notice"), status.words.notice);
    say(find(".more"), waiting ? fill(words.more, { count: waiting }) : "");
    showProgress(status);
    const ended = ENDED.has(status.state);
    stop.hidden = ended;
    stop.disabled = stopping === status.id;
    stop.textContent = stop.disabled ? words.stopping : words.stop;
    if (status.preview_number && !ended) {
      await showImage(`/api/jobs/${status.id}/preview?n=${status.preview_number}`, words.preview, true);
    }
    if (status.state === "done") await finish(status.picture);
    if (status.state === "failed") fail(status);
    if (status.state === "cancelled") restore();
  }

  function begin(status) {
    current = status.id;
    find(".failure").hidden = true;
    find(".failure strong").textContent = find(".failure .next").textContent = "";
    find(".actions").hidden = true;
    image.style.aspectRatio = `${status.width} / ${status.height}`;
  }

  function showProgress(status) {
    bar.hidden = ENDED.has(status.state);
    bar.classList.toggle("unknown", status.progress === null);
    if (status.progress === null) {
      bar.removeAttribute("aria-valuenow");
    } else {
      bar.setAttribute("aria-valuenow", Math.round(status.progress * 100));
      bar.firstElementChild.style.width = `${status.progress * 100}%`;
    }
  }

  // A picture takes the place of the last one only when it has fully arrived.
  async function showImage(address, description, isPreview) {
    if (address === previewShown) return;
    const next = new Image();
    next.src = address;
    try {
      await Promise.race([next.decode(), new Promise((_, giveUp) => setTimeout(giveUp, PATIENCE))]);
    } catch {
      return;
    }
    previewShown = address;
    image.src = address;
    image.alt = description;
    image.classList.toggle("preview", isPreview);
    image.hidden = false;
    find(".print .empty").hidden = true;
  }

  async function finish(id) {
    memory.write("shown", id);
    await showPicture(id);
    window.dispatchEvent(new CustomEvent("darkroom:picture", { detail: { id } }));
  }

  async function showPicture(id) {
    const picture = await ask(`/api/pictures/${id}?lang=${language}`);
    image.style.aspectRatio = `${picture.request.width} / ${picture.request.height}`;
    await showImage(picture.picture, fill(words.picture, { prompt: picture.request.prompt }), false);
    find(".open").href = picture.picture;
    find(".download").href = picture.picture;
    find(".download").download = picture.name;
    find(".show").dataset.id = id;
    find(".actions").hidden = false;
  }

  function fail(status) {
    find(".failure strong").textContent = status.words.error;
    find(".failure .next").textContent = status.words.next;
    find(".failure").hidden = false;
    restore();
  }

  // Back to the last finished picture, or to the empty tray.
  function restore() {
    const id = memory.read("shown", null);
    previewShown = "";
    if (Number.isInteger(id)) {
      showPicture(id).catch((problem) => {
        if (problem.status === 404) clear();
      });
    } else {
      clear();
    }
  }

  function clear() {
    memory.write("shown", null);
    image.hidden = true;
    image.removeAttribute("src");
    find(".actions").hidden = true;
    find(".print .empty").hidden = false;
  }

  function rest() {
    panel.dataset.activity = "idle";
    bar.hidden = true;
    stop.hidden = true;
    for (const part of [".activity", ".detail", ".left", ".more", ".notice"]) say(find(part), "");
    restore();
  }

  stop.addEventListener("click", async () => {
    stopping = current;
    stop.disabled = true;
    stop.textContent = words.stopping;
    try {
      await ask(`/api/jobs/${current}/stop`, { method: "POST" });
    } catch {
      stopping = null;
    }
    look();
  });

  find(".show").addEventListener("click", () => {
    const id = Number(find(".show").dataset.id);
    window.dispatchEvent(new CustomEvent("darkroom:show", { detail: { id } }));
  });

  watch("value", () => {
    const { job, seed } = props.value ?? {};
    if (!Number.isInteger(job) || jobs().includes(job)) return;
    memory.write("seed", seed);
    memory.write("jobs", [...jobs(), job]);
    panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
    failures = 0;
    look();
  });

  document.addEventListener("visibilitychange", () => document.hidden || look());
  window.addEventListener("online", look);
  window.addEventListener("storage", (event) => event.key === memory.key("jobs") && look());

  rest();
  look();
};
