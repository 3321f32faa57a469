// The tray: the picture being made, from the first word to the print, or a finished one. Whatever the machine makes is shown,
// whoever asked for it, unless a person has laid a finished picture here to look at.
darkroom.watch = (element) => {
  const { memory, fill, make, on, say, tell } = darkroom;
  const words = darkroom.words.watch;
  const SOFTEST = 2.5; // pixels of blur on the first preview; none on the last
  const TITLE = darkroom.words.name;
  const find = (selector) => element.querySelector(selector);
  const panel = find(".watch");
  const print = find(".print");
  const image = find(".print img");
  const bar = find(".progress");
  const stop = find(".stop");
  const follow = find(".follow");
  const open = find(".print .open");

  let job = null; // the number of the job that is shown
  let picture = null; // the finished picture that is shown
  let pinned = false; // a person chose it: no job takes its place
  let wanted = 0; // pictures and previews arrive in any order; only the last asked for is shown
  let asked = 0; // so do answers about pictures
  let chosen = false; // a person, or a link, has asked for a picture
  let stopping = null;
  let removed = null; // the picture last thrown away from here
  let previewOf = null; // the job whose preview was asked for last

  const actions = darkroom.actions({ view: (shown) => darkroom.view(shown.id) });
  find(".below").append(make("p", { className: "caption" }), actions.element);
  find(".print .empty").textContent = words.empty;
  stop.textContent = words.stop;
  follow.textContent = words.follow;
  open.setAttribute("aria-label", darkroom.words.picture.view);
  open.title = darkroom.words.picture.view;
  panel.setAttribute("aria-label", words.title);
  bar.setAttribute("aria-label", words.title);

  // --- jobs

  function news({ jobs, queue, ended, cutOff }) {
    say(find(".cut-off"), cutOff ? words.cut_off : "");
    if (cutOff) return;
    if (ended.length) end(ended);
    const next = jobs.find(({ state }) => state === "waiting");
    const isHeld = queue.paused && Boolean(next);
    const first = jobs.find(({ state }) => state === "running") ?? (isHeld ? null : next);
    if (first) {
      showJob({ ...first, words: { ...first.words, notice: first.words.notice || queue.words } });
      return;
    }
    // What was laid aside, or waits while the queue is paused, is not being made: the tray is the finished picture's.
    if (job !== null && !pinned) restore();
    if (job !== null || (isHeld && panel.dataset.activity === "asked")) rest("idle");
    say(find(".notice"), isHeld ? queue.words : "");
  }

  function showJob(status) {
    if (job !== status.id) begin(status);
    panel.dataset.activity = status.activity;
    say(find(".activity"), status.words.activity);
    say(find(".detail"), status.words.detail);
    say(find(".left"), status.words.left);
    say(find(".notice"), status.words.notice);
    showProgress(status);
    stop.hidden = false;
    stop.disabled = stopping === status.id;
    stop.textContent = stop.disabled ? words.stopping : words.stop;
    follow.hidden = !pinned;
    if (status.preview_number && !pinned) {
      previewOf = status.id;
      const softness = status.of ? SOFTEST * (1 - status.step / status.of) : 0;
      present(`/api/jobs/${status.id}/preview?n=${status.preview_number}`, {
        words: words.preview, width: status.width, height: status.height, preview: true, softness,
      });
    }
  }

  function begin(status) {
    job = status.id;
    forgive();
    if (pinned) return;
    actions.show(null);
    say(find(".caption"), "");
    print.classList.add("expecting");
    tell("shown", { id: null });
  }

  function forgive() {
    find(".failure").hidden = true;
    find(".failure strong").textContent = find(".failure .next").textContent = "";
  }

  function showProgress(status) {
    const known = status.progress !== null;
    bar.hidden = false;
    bar.classList.toggle("unknown", !known);
    if (known) {
      bar.setAttribute("aria-valuenow", Math.round(status.progress * 100));
      bar.firstElementChild.style.width = `${status.progress * 100}%`;
    } else {
      bar.removeAttribute("aria-valuenow");
    }
    const percent = known ? fill(words.percent, { percent: Math.round(status.progress * 100) }) : "";
    document.title = `${percent || status.words.activity} · ${TITLE}`;
  }

  // However many ended, the tray changes once.
  function end(ended) {
    const made = ended.filter(({ state }) => state === "done");
    const failed = ended.findLast(({ state }) => state === "failed");
    const last = ended.at(-1);
    if (!pinned && made.length) {
      memory.write("shown", made.at(-1).picture); // at once: the tray may be given back to it before it has come
      showPicture(made.at(-1).picture).catch(() => {});
    } else if (!pinned) {
      restore();
    }
    if (failed) {
      find(".failure strong").textContent = failed.words.error;
      find(".failure .next").textContent = failed.words.next;
      find(".failure").hidden = false;
    }
    rest(last.state);
    if (last.state === "cancelled") say(find(".activity"), last.words.activity);
    if (document.hidden && failed) document.title = `${words.failed} · ${TITLE}`;
    else if (document.hidden && made.length) document.title = `✓ ${TITLE}`;
  }

  function rest(activity) {
    job = null;
    panel.dataset.activity = activity;
    bar.hidden = stop.hidden = follow.hidden = true;
    for (const part of [".activity", ".detail", ".left", ".notice"]) say(find(part), "");
    document.title = TITLE;
    print.classList.remove("expecting");
  }

  // --- what lies in the tray

  // A picture takes the place of the last one only when it has fully arrived.
  function present(address, { words: description, width, height, preview = false, softness = 0, faint = false, isWhole = true }) {
    const mine = (wanted += 1);
    const fail = () => miss({ picture: address, file_is_whole: isWhole }, mine);
    if (!isWhole) return fail();
    const next = new Image();
    next.src = address;
    const show = () => {
      if (mine < wanted && !preview) return;
      if (mine < Number(image.dataset.turn ?? 0)) return;
      image.dataset.turn = mine;
      print.style.setProperty("--ratio", width / height);
      print.style.setProperty("--softness", `${softness}px`);
      print.classList.toggle("expecting", faint && job !== null);
      image.src = address;
      image.alt = description;
      image.classList.toggle("preview", preview);
      image.hidden = false;
      open.hidden = preview;
      find(".print .empty").hidden = true;
    };
    if (image.getAttribute("src") === address) show();
    else next.decode().then(show, () => preview || fail());
  }

  // Better no picture than the one before, with the words and buttons of this one.
  async function miss(stored, mine) {
    const trouble = await darkroom.pictures.trouble(stored);
    if (!trouble || mine < wanted) return;
    image.dataset.turn = mine;
    image.hidden = open.hidden = true;
    image.removeAttribute("src");
    print.classList.remove("expecting");
    say(find(".print .empty"), trouble);
  }

  async function showPicture(id) {
    const turn = (asked += 1);
    const found = await darkroom.pictures.get(id);
    if (turn < asked) return; // another one was asked for meanwhile
    picture = found;
    memory.write("shown", id);
    const nextBegan = job !== null && !pinned;
    if (nextBegan && image.classList.contains("preview") && previewOf === job) return;
    present(found.picture, {
      words: fill(words.picture, { prompt: found.request.prompt }), width: found.width, height: found.height, faint: nextBegan,
      isWhole: found.file_is_whole,
    });
    if (nextBegan) return;
    actions.show(found);
    const { size_value: size } = darkroom.words.history;
    const facts = [`#${found.id}`, fill(size, { width: found.width, height: found.height }), found.took];
    say(find(".caption"), facts.filter(Boolean).join(" · "));
    tell("shown", { id });
  }

  // Back to the last finished picture, or to the empty tray.
  function restore() {
    const id = memory.read("shown", null);
    if (!Number.isInteger(id)) return clear();
    return showPicture(id).catch((problem) => problem.status === 404 && clear());
  }

  function clear() {
    memory.write("shown", null);
    picture = null;
    wanted += 1;
    image.dataset.turn = wanted;
    image.hidden = open.hidden = true;
    image.removeAttribute("src");
    actions.show(null);
    say(find(".caption"), "");
    say(find(".print .empty"), words.empty);
    tell("shown", { id: null });
  }

  // --- what a person does

  // A click is answered before the server is.
  on("asked", () => {
    if (job !== null) return;
    pinned = false;
    panel.dataset.activity = "asked";
    forgive();
    say(find(".activity"), darkroom.words.form.asked);
    bar.hidden = false;
    bar.classList.add("unknown");
    if (matchMedia("(max-width: 860px)").matches) panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
  on("refused", () => panel.dataset.activity === "asked" && rest("idle"));
  on("choose", ({ id }) => {
    chosen = true;
    pinned = job !== null;
    follow.hidden = !pinned;
    print.classList.remove("expecting");
    showPicture(id).catch((problem) => darkroom.toast(problem.words || darkroom.words.picture.failed));
  });
  on("live", () => {
    pinned = false;
    job = null; // begin anew: the preview comes with the next look
    darkroom.queue.look();
  });
  on("changed", ({ kind, tiles }) => {
    const back = tiles.find(({ id }) => id === removed) ?? (picture ? null : tiles[0]);
    if (kind === "restore" && back) showPicture(back.id).catch(() => {});
    const tile = tiles.find(({ id }) => id === picture?.id);
    if (tile && kind === "star") picture.starred = tile.starred;
    if (tile && ["trash", "purge"].includes(kind)) leave(tile.id);
  });

  // The picture shown was thrown away: the next one takes its place, until it is brought back.
  async function leave(id) {
    removed = id;
    try {
      const { older, newer } = await darkroom.pictures.get(id);
      if (older ?? newer) await showPicture(older ?? newer);
      else clear();
    } catch {
      clear();
    }
  }

  // A browser that has shown nothing yet begins with the newest picture there is.
  on("recent", ({ newest }) => {
    const begun = picture || chosen || Number.isInteger(memory.read("shown", null));
    if (newest !== null && !begun) showPicture(newest).catch(() => {});
  });

  stop.addEventListener("click", async () => {
    stopping = job;
    stop.disabled = true;
    stop.textContent = words.stopping;
    await darkroom.queue.stop(job).catch(() => (stopping = null));
  });
  follow.addEventListener("click", () => tell("live"));
  open.addEventListener("click", () => picture && darkroom.view(picture.id));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && job === null) document.title = TITLE;
  });

  rest("idle");
  restore();
  darkroom.queue.follow(news);
};
