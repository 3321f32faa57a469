// The queue's own view: what is made, what rests and what waits, in order, whoever asked for it, and what can be done about it.
// Rows that stay keep their elements, so that the focus and a hand that is about to press find them where they were.
darkroom.line = (element) => {
  const { ask, fill, icon, make, on, say, toast } = darkroom;
  const words = darkroom.words.queue;
  const MORE = 50;
  const find = (selector) => element.querySelector(selector);
  const list = find("ol.jobs");
  const failures = find(".failures ul");
  const rows = new Map(); // by the number of the job
  let shown = [];
  let state = { paused: false, stop_after: null };
  let limit = MORE;

  const waits = (job) => job.state === "waiting";
  const isSeen = () => document.documentElement.dataset.view === "queue";

  async function act(path, body) {
    try {
      const options = { method: "POST", headers: { "Content-Type": "application/json" } };
      return await ask(`/api/v1${path}?lang=${darkroom.language}`, body === undefined ? options : { ...options, body: JSON.stringify(body) });
    } catch (problem) {
      toast(problem.words || words.failed_action);
      return null;
    } finally {
      darkroom.queue.look();
    }
  }

  // --- the whole queue

  const deed = (name, label, hint, run, picture = null) => {
    const button = make("button", { type: "button", className: `deed ${name}`, title: hint });
    if (picture) button.append(icon(picture));
    button.append(make("span", {}, label));
    button.addEventListener("click", run);
    return button;
  };
  const pause = deed("pause", words.pause, words.pause_about, () => act("/queue/pause"), "pause");
  const resume = deed("resume", words.resume, words.resume, () => act("/queue/resume"), "play");
  const clear = deed("clear", words.cancel_all, words.cancel_all, cancelAll);
  const release = deed("release", words.release, words.release_about, async () => {
    if (await act("/engine/release")) toast(words.released);
  }, "memory");
  find("h2").textContent = words.title;
  find(".nothing").textContent = words.empty;
  find(".failures h3").textContent = words.failures;
  find(".failures .head").append(
    deed("retry-all", words.retry_all, words.retry_all, () => act("/queue/retry")),
    deed("dismiss-all", words.dismiss_all, words.dismiss_all, async () => {
      if (await act("/queue/dismiss")) toast(words.dismissed);
    }));
  list.setAttribute("aria-label", words.line);
  find(".deeds").append(resume, pause, clear);
  find(".wishes").append(...darkroom.callers(deed), release);
  find(".rest button").textContent = words.show_more;
  find(".rest button").addEventListener("click", () => {
    limit += 2 * MORE;
    darkroom.queue.want({ limit: Math.min(limit, 500) });
  });

  async function cancelAll() {
    const count = shown.filter(waits).length + hidden;
    if (count > 1 && !(await darkroom.sure(fill(words.cancel_sure, { count }), words.cancel_yes, words.cancel_no))) return;
    const done = await act("/queue/cancel");
    if (done) tellCancelled(done.cancelled);
  }

  function tellCancelled(ids) {
    if (!ids.length) return;
    const text = ids.length === 1 ? words.cancelled : fill(words.cancelled_many, { count: ids.length });
    toast(text, { label: words.undo, action: () => act("/queue/restore", { ids }) });
  }

  // --- one job

  const neighbour = (job, by) => {
    const line = shown.filter((other) => waits(other) && other.line === job.line);
    return line[line.findIndex(({ id }) => id === job.id) + by];
  };

  // By places, not before a job that is seen here: that may have begun meanwhile, or lie beyond those that are shown.
  const move = (job, by) => act(`/jobs/${job.id}/move`, { by });

  async function cancel(job) {
    const isRunning = job.state === "running";
    if (await act(`/jobs/${job.id}/cancel`) && !isRunning) tellCancelled([job.id]);
  }

  async function dismiss(job) {
    if (!(await act(`/jobs/${job.id}/dismiss`))) return;
    toast(words.dismissed, { label: words.retry, action: () => act(`/jobs/${job.id}/retry`) });
  }

  async function cancelGroup(job) {
    const done = await act(`/groups/${job.group}/cancel`);
    if (done) tellCancelled(done.cancelled);
  }

  function rowOf(job) {
    const { id } = job;
    const row = { id, job };
    const small = (name, picture, label, run) => {
      const button = make("button", { type: "button", className: `tool ${name}`, title: label }, icon(picture));
      button.addEventListener("click", () => run(row.job));
      row[name] = button;
      row.labels.push([button, label]);
      return button;
    };
    const word = (name, label, hint, run) => {
      row[name] = deed(name, label, hint, () => run(row.job));
      return row[name];
    };
    row.labels = [];
    const isLast = () => state.stop_after === id;
    const stopAfter = () => act("/queue/stop-after", { job: isLast() ? null : id });
    row.menu = darkroom.menu(words.menu, [
      { label: () => (isLast() ? words.stop_after_off : words.stop_after), run: stopAfter },
      ...(job.group ? [{ label: words.cancel_group, run: () => cancelGroup(job) }] : []),
    ]);
    row.image = make("img", { alt: "", hidden: true });
    row.prompt = make("p", { className: "prompt" });
    row.facts = make("p", { className: "facts" });
    row.doing = make("p", { className: "doing" });
    row.mark = make("p", { className: "mark", hidden: true }, words.stop_after_on);
    row.bar = make("span", { className: "bar" });
    const tools = make("div", { className: "tools", role: "group" },
      word("finish", words.finish_job, words.finish_job_about, (job) => act(`/jobs/${job.id}/finish`)),
      word("lay", words.pause_job, words.pause_job_about, (job) => act(`/jobs/${job.id}/pause`)),
      word("on", words.resume_job, words.resume_job_about, (job) => act(`/jobs/${job.id}/resume`)),
      word("retry", words.retry, words.retry, (job) => act(`/jobs/${job.id}/retry`)),
      small("front", "front", words.front, (job) => act("/queue/front", { ids: [job.id] })),
      small("up", "up", words.up, (job) => move(job, -1)),
      small("lower", "lower", words.down, (job) => move(job, 1)),
      row.menu,
      small("away", "close", words.cancel, cancel),
      small("drop", "close", words.dismiss, dismiss));
    const picture = make("div", { className: "frame" }, row.image, row.bar);
    row.item = make("li", { className: "job" }, picture,
      make("div", { className: "said" }, row.prompt, row.facts, row.doing, row.mark), tools);
    row.item.dataset.id = id;
    return row;
  }

  function paint(row, job, place) {
    row.job = job;
    const { item } = row;
    item.dataset.state = job.state;
    item.classList.toggle("unknown", job.state === "running" && job.progress === null);
    item.style.setProperty("--ratio", job.width / job.height);
    item.style.setProperty("--done", job.progress ?? 0);
    say(row.prompt, job.prompt || darkroom.words.history.no_prompt);
    say(row.facts, [fill(words.number, { id: job.id }), job.who, fill(job.steps === 1 ? words.size_one : words.size, job)].join(" · "));
    const { activity, detail, left, notice, error, next } = job.words;
    const told = job.state === "failed" ? [error, next] : [[activity, detail, left].filter(Boolean).join(" · "), notice];
    say(row.doing, told.filter(Boolean).join(darkroom.language === "zh" ? "" : " "));
    row.mark.hidden = state.stop_after !== job.id;
    const isWaiting = waits(job);
    const runs = job.state === "running";
    row.finish.hidden = !runs || job.activity !== "denoising";
    row.lay.hidden = !runs;
    row.on.hidden = job.state !== "paused";
    row.retry.hidden = job.state !== "failed";
    row.menu.hidden = !runs && !isWaiting;
    row.front.hidden = row.up.hidden = row.lower.hidden = !isWaiting;
    row.front.disabled = row.up.disabled = isWaiting && !neighbour(job, -1);
    row.lower.disabled = isWaiting && !neighbour(job, 1) && hidden <= 0;
    row.away.hidden = job.state === "failed";
    row.drop.hidden = job.state !== "failed";
    for (const [button, label] of row.labels) button.setAttribute("aria-label", `${label}: ${job.prompt}`);
    item.setAttribute("aria-posinset", place + 1);
    if (!job.preview_number || Number(row.image.dataset.number) === job.preview_number) return;
    row.image.dataset.number = job.preview_number;
    row.image.src = `/api/jobs/${job.id}/preview?n=${job.preview_number}`;
    row.image.hidden = false;
  }

  // --- what the server says

  let hidden = 0;
  const badge = () => document.querySelector('.views a[data-view="queue"]');

  function news({ jobs, count, queue, failed, cutOff }) {
    say(find(".cut-off"), cutOff ? darkroom.words.watch.cut_off : "");
    if (cutOff) find(".nothing").hidden = true;
    if (cutOff) return;
    const link = badge();
    if (link) link.dataset.count = count || "";
    if (!isSeen()) return;
    state = queue;
    shown = jobs;
    hidden = count - jobs.length;
    const mine = new Set([...jobs, ...failed].map(({ id }) => id));
    for (const [id, row] of rows) {
      if (mine.has(id)) continue;
      row.item.remove();
      rows.delete(id);
    }
    fillList(list, jobs);
    fillList(failures, failed);
    find(".failures").hidden = !failed.length;
    find(".failures").classList.toggle("are-many", failed.length > 1);
    find(".rest").hidden = hidden <= 0;
    find(".rest span").textContent = fill(words.more, { count: hidden });
    find(".rest button").hidden = limit >= 500;
    find(".nothing").hidden = count > 0;
    find(".queueing").classList.toggle("is-paused", queue.paused);
    say(find(".state"), queue.words);
    say(find(".left"), queue.left);
    resume.hidden = !queue.paused;
    pause.hidden = queue.paused;
    clear.hidden = !jobs.some(waits);
  }

  function fillList(place, jobs) {
    const items = jobs.map((job, number) => {
      if (!rows.has(job.id)) rows.set(job.id, rowOf(job));
      paint(rows.get(job.id), job, number);
      return rows.get(job.id).item;
    });
    if (items.length === place.children.length && items.every((item, number) => place.children[number] === item)) return;
    const held = document.activeElement;
    place.replaceChildren(...items);
    if (held && element.contains(held)) held.focus({ preventScroll: true });
  }

  // Keys go on where they were, also when a button can do nothing more, or its whole row is gone.
  function keepFocus(change) {
    const buttons = (item) => [...item.querySelectorAll(".tools > button, .menu-holder > .more")];
    const canTake = (button) => button.isConnected && !button.disabled && button.offsetParent !== null;
    const held = document.activeElement;
    const item = element.contains(held) ? held.closest("li.job") : null;
    const line = item?.parentElement;
    const place = item ? [...line.children].indexOf(item) : 0;
    const tool = item ? buttons(item).indexOf(held.closest(".menu-holder")?.querySelector(".more") ?? held) : 0;
    change();
    if (!item || canTake(held)) return;
    const next = item.isConnected ? item : line.children[Math.min(place, line.children.length - 1)];
    const tools = next ? buttons(next).map((button, number) => ({ button, away: Math.abs(number - tool) })) : [];
    const [nearest] = tools.filter(({ button }) => canTake(button)).sort((a, b) => a.away - b.away);
    (nearest?.button ?? [resume, pause].find(canTake))?.focus({ preventScroll: true });
  }

  function seen() {
    darkroom.queue.want(isSeen() ? { limit, failed: true } : { limit: 24, failed: false });
  }
  on("view", seen);
  darkroom.queue.follow((looked) => keepFocus(() => news(looked)));
  if (isSeen()) seen();
};
