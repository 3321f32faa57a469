// The sheet of finished pictures, page by page as it is scrolled, and the view of one with everything that made it.
darkroom.history = (element, props, reuse) => {
  const { ask, say } = darkroom;
  const PAGE = 40;
  const RETRY = 3000;
  const { words, language } = props;
  const find = (selector) => element.querySelector(selector);
  const sheet = find(".sheet");
  const search = find("input[type=search]");
  const dialog = find("dialog");
  const sentinel = find(".sentinel");

  let pictures = [];
  let next = null;
  let round = 0; // answers of an older search are dropped
  let loading = false;
  let shown = null;

  find("h2").textContent = words.title;
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  for (const part of ["reuse", "download", "newer", "older"]) find(`dialog .${part}`).textContent = words[part];
  find(".close").setAttribute("aria-label", words.close);
  find(".close").textContent = "×";

  const page = (before) => {
    const query = new URLSearchParams({ limit: PAGE, lang: language, q: search.value.trim() });
    if (before) query.set("before", before);
    return ask(`/api/history?${query}`);
  };

  async function more() {
    if (loading || (next === null && pictures.length)) return;
    loading = true;
    const mine = round;
    try {
      const found = await page(next);
      if (mine !== round) return;
      next = found.next;
      pictures.push(...found.pictures);
      sheet.append(...found.pictures.map(tile));
      tell();
    } catch {
      if (mine !== round) return;
      say(find(".nothing"), words.failed);
      setTimeout(more, RETRY);
    } finally {
      if (mine === round) loading = false;
    }
    observe();
  }

  function tell() {
    const word = search.value.trim() ? words.none_found : words.empty;
    say(find(".nothing"), pictures.length ? "" : word);
    search.hidden = !pictures.length && !search.value;
  }

  function restart() {
    round += 1;
    pictures = [];
    next = null;
    loading = false;
    sheet.replaceChildren();
    more();
  }

  // Pictures that were finished after this page was loaded, here or in another tab.
  async function addNew() {
    const mine = round;
    try {
      const newest = pictures[0]?.id ?? 0;
      const found = (await page(null)).pictures.filter((picture) => picture.id > newest);
      if (mine !== round || newest !== (pictures[0]?.id ?? 0)) return;
      pictures.unshift(...found);
      sheet.prepend(...found.map(tile));
      tell();
    } catch {
      // The next finished picture brings both.
    }
  }

  function tile(picture) {
    const { width, height } = picture.request;
    const button = document.createElement("button");
    const image = document.createElement("img");
    button.type = "button";
    button.className = "tile";
    button.dataset.id = picture.id;
    button.style.setProperty("--ratio", width / height);
    button.title = picture.request.prompt;
    button.setAttribute("aria-label", picture.title);
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = "";
    image.src = picture.thumbnail;
    button.append(image);
    button.addEventListener("click", () => open(picture));
    return button;
  }

  function open(picture) {
    shown = picture;
    const full = find(".full");
    full.href = picture.picture;
    full.querySelector("img").src = picture.picture;
    full.querySelector("img").alt = picture.title;
    full.style.setProperty("--ratio", picture.request.width / picture.request.height);
    const made = new Date(picture.created_at).toLocaleString(language === "zh" ? "zh-CN" : "en", {
      dateStyle: "medium",
      timeStyle: "short",
    });
    find(".number").textContent = `#${picture.id} · ${made}`;
    find(".facts .prompt").textContent = picture.request.prompt || words.no_prompt;
    find("dl").replaceChildren(
      ...picture.rows.flatMap(([name, value]) => [
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      ]),
    );
    find("dialog .download").href = picture.picture;
    find("dialog .download").download = picture.name;
    const place = pictures.findIndex((other) => other.id === picture.id);
    find(".newer").disabled = place < 1;
    find(".older").disabled = place < 0 || place === pictures.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function turn(by) {
    const place = pictures.findIndex((other) => other.id === shown?.id);
    const other = place < 0 ? undefined : pictures[place + by];
    if (other) open(other);
    if (place + by >= pictures.length - 2) more();
  }

  find(".reuse").addEventListener("click", () => {
    reuse(shown.id);
    dialog.close();
    window.scrollTo({ top: 0, behavior: "smooth" });
  });
  find(".newer").addEventListener("click", () => turn(-1));
  find(".older").addEventListener("click", () => turn(1));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
  // A click beside the sheet of paper puts it away.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(restart, 200);
  });
  window.addEventListener("darkroom:picture", addNew);
  window.addEventListener("darkroom:show", async ({ detail }) => {
    const known = pictures.find((picture) => picture.id === detail.id);
    open(known ?? (await ask(`/api/pictures/${detail.id}?lang=${language}`)));
  });

  // The observer speaks only when the sentinel comes into view, so it is asked anew after every page.
  const observer = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && next !== null && more(), {
    rootMargin: "600px",
  });
  function observe() {
    observer.unobserve(sentinel);
    observer.observe(sentinel);
  }

  more();
};
