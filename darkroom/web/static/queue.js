// Looks at the machine's unfinished jobs and what became of them, whoever asked for them, for everything on this page that
// shows it: often while something is made, seldom when nothing is or the page is hidden, ever more rarely while nobody answers.
darkroom.queue = (() => {
  const BUSY = 300;
  const IDLE = 2500;
  const HIDDEN = 2000;
  const HIDDEN_IDLE = 15000;
  const RAREST = 5000;
  const FIRST_RETRY = 500;
  const ENDS_AT_ONCE = 200; // as many as the server answers at once
  const PICTURES_AT_ONCE = 200;
  const ENDED = new Set(["done", "failed", "cancelled"]);
  const { ask, language, memory } = darkroom;

  const followers = [];
  // Jobs whose end this browser has not seen. Kept, so that what ended during a reload is still told.
  const open = new Set(memory.read("jobs", []).filter(Number.isInteger));
  let timer = 0;
  let looking = false;
  let again = false;
  let failures = 0;
  let count = 0;
  let resting = false; // nothing is made and nothing will begin
  let owed = false; // some ends are not known yet
  let newest = null; // the number of the last picture that this page knows; null until it knows any
  let wanted = { limit: 24, failed: false };

  function keep() {
    const now = [...open].slice(-100);
    if (String(now) !== String(memory.read("jobs", []))) memory.write("jobs", now);
  }

  function delay() {
    if (failures) return Math.min(FIRST_RETRY * 2 ** (failures - 1), RAREST);
    const busy = owed || (count && !resting);
    if (document.hidden) return busy ? HIDDEN : HIDDEN_IDLE;
    return busy ? BUSY : IDLE;
  }

  async function look() {
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    clearTimeout(timer);
    try {
      const { jobs, ids, queue, failed, newest: last } = await ask(`/api/jobs?${new URLSearchParams({ lang: language, ...wanted })}`);
      const ended = await endings(ids);
      failures = 0;
      count = ids.length;
      const is = (state) => jobs.some((job) => job.state === state);
      resting = !is("running") && (queue.paused || !is("waiting"));
      ids.forEach((id) => open.add(id));
      keep();
      tell({ jobs: jobs.filter((job) => !ENDED.has(job.state)), count, queue, failed, ended, owed, cutOff: false });
      await pictures(last);
    } catch {
      failures += 1;
      // One lost answer is nothing to speak of.
      if (failures > 1) tell({ jobs: null, count, ended: [], cutOff: true });
    } finally {
      looking = false;
    }
    timer = setTimeout(look, again ? 0 : delay());
  }

  // In the order in which they ended. What cannot be known now, or would be too much at once, stays open for the next look.
  async function endings(ids) {
    const unfinished = new Set(ids);
    const gone = [...open].filter((id) => !unfinished.has(id));
    const asked = gone.slice(0, ENDS_AT_ONCE);
    owed = gone.length > 0;
    if (!owed) return [];
    try {
      const query = new URLSearchParams([["lang", language], ...asked.map((id) => ["ids", id])]);
      const found = await ask(`/api/jobs/ends?${query}`);
      const stay = new Set(found.unfinished);
      for (const id of asked) if (!stay.has(id)) open.delete(id);
      owed = gone.length > asked.length;
      return found.ended;
    } catch {
      return [];
    }
  }

  // Also those that were begun and finished between two looks. `isAll` is false when there are more than came along.
  async function pictures(last) {
    if (newest === null || !(last > newest)) return;
    try {
      const found = await ask(`/api/history?${new URLSearchParams({ limit: PICTURES_AT_ONCE, lang: language })}`);
      const tiles = found.pictures.filter(({ id }) => id > newest);
      newest = last;
      if (tiles.length) darkroom.tell("made", { tiles, isAll: tiles.length < PICTURES_AT_ONCE });
    } catch {
      // The next look asks again.
    }
  }

  function tell(news) {
    for (const follow of followers) follow(news);
  }

  function follow(follower) {
    followers.push(follower);
    clearTimeout(timer);
    timer = setTimeout(look, 0);
  }

  // New jobs of this page: their ends are waited for, however soon they come.
  function add(ids) {
    ids.forEach((id) => open.add(id));
    keep();
    failures = 0;
    look();
  }

  // How much of the queue is looked at: all that is seen of it, and no more.
  function want(changes) {
    wanted = { ...wanted, ...changes };
    look();
  }

  async function stop(id) {
    await ask(`/api/jobs/${id}/stop`, { method: "POST" });
    look();
  }

  // What the form asked for.
  darkroom.on("ordered", ({ jobs }) => {
    add(jobs.map((job) => job.id ?? job));
    darkroom.tell("live");
  });
  darkroom.on("recent", ({ newest: id }) => (newest = Math.max(newest, id)));
  document.addEventListener("visibilitychange", () => document.hidden || look());
  window.addEventListener("online", look);

  return { follow, add, stop, look, want };
})();
