// The Models view: a card for each model, looked at again and again while it is seen. The server says every word and which
// acts are possible. Must not know: what a model is made of, or where it comes from.
darkroom.shelf = (element, props) => {
  const { ask, make, memory, on, say } = darkroom;
  const { words, hubs } = props;
  const BUSY = 700;
  const CALM = 4000;
  const [machine, cutOff, cards] = [".machine", ".cut-off", ".cards"].map((name) => element.querySelector(name));
  const [shared, others] = [".shared", ".others"].map((name) => element.querySelector(name));
  const [select, into] = element.querySelectorAll("select");
  const known = new Map();
  let timer = 0;
  let usable = null;
  let round = 0; // answers to an older question are dropped

  element.querySelector("h2").textContent = words.title;
  element.querySelector(".hub span").textContent = words.hub;
  element.querySelector(".home span").textContent = words.home;
  for (const [section, name] of [[shared, "shared"], [others, "other"]]) {
    section.querySelector("h3").textContent = words[`${name}_title`];
    section.querySelector(".about").textContent = words[`${name}_about`];
  }
  for (const [name, title] of Object.entries(hubs)) select.append(make("option", { value: name, textContent: title }));

  const isSeen = () => document.documentElement.dataset.view === "models" && !document.hidden;
  const wish = () => memory.read("hub", "");

  async function look() {
    clearTimeout(timer);
    if (!isSeen()) return;
    const mine = (round += 1);
    let pause = CALM;
    try {
      const news = await ask(`/api/models?hub=${encodeURIComponent(wish())}`);
      if (mine !== round) return;
      show(news);
      say(cutOff, "");
      pause = news.busy ? BUSY : CALM;
    } catch (problem) {
      if (mine !== round) return;
      if (problem.status === 422) memory.write("hub", "");
      say(cutOff, problem.words || words.cut_off);
    }
    timer = setTimeout(look, pause);
  }

  async function act(address, body, { act: name, question }) {
    if (question && !(await darkroom.sure(question, words.remove_yes, words.keep))) return;
    const mine = (round += 1);
    try {
      const news = await ask(address, { method: "POST", body: JSON.stringify({ hub: select.value, home: into.value, consent: name === "remove", ...body }) });
      if (mine === round) show(news);
    } catch (problem) {
      darkroom.toast(problem.words || words.failed);
    }
    look();
  }

  function show(news) {
    select.value = news.hub;
    machine.textContent = `${news.machine} · ${news.disk}`;
    showHomes(news.homes);
    const names = new Set(news.models.map((model) => model.name));
    for (const [name, card] of known) {
      if (names.has(name)) continue;
      card.element.remove();
      known.delete(name);
    }
    for (const model of news.models) {
      if (!known.has(model.name)) known.set(model.name, cardOf(model));
      const card = known.get(model.name);
      card.update(model);
    }
    usable = news.models.filter((model) => model.usable).map((model) => model.name);
    const order = news.models.map((model) => known.get(model.name).element);
    if (order.some((card, place) => cards.children[place] !== card)) cards.append(...order);
    fileList(shared, news.shared);
    plainList(others, news.others);
  }

  function use(name) {
    if (darkroom.form.offers(usable)) darkroom.models.use(name);
    else location.assign(`${location.pathname}?model=${encodeURIComponent(name)}`);
  }

  // The question names what depends on it, which is found out only now.
  async function withNeeds(one, address) {
    try {
      const { words: needs } = await ask(`${address}/needs?lang=${darkroom.language}`);
      return { ...one, question: [one.question, needs].filter(Boolean).join(" ") };
    } catch {
      return one; // asking anew will say what is wrong
    }
  }

  // Where downloads go, if there is a choice.
  function showHomes(homes) {
    into.parentElement.hidden = homes.length < 2;
    if ([...into.options].map((option) => option.value).join("\n") === homes.join("\n")) return;
    into.replaceChildren(...homes.map((home) => make("option", { value: home, textContent: home })));
    const wanted = memory.read("home", "");
    if (homes.includes(wanted)) into.value = wanted;
  }

  function cardOf(first) {
    const part = (name, tag = "p") => make(tag, { className: name });
    const [title, status, size, fit, terms, activity, trouble] = [
      part("title", "h3"), part("status", "span"), part("size"), part("need"), part("terms"), part("activity"), part("trouble"),
    ];
    const bar = make("progress", { max: 1, "aria-label": first.title });
    const link = make("a", { target: "_blank", rel: "noreferrer noopener", className: "link" });
    const deeds = make("div", { className: "deeds" });
    const files = make("ul", { className: "files" });
    const details = make("details", {}, make("summary", {}, words.files), files);
    trouble.setAttribute("role", "alert");
    const card = make(
      "article", { className: "model-card" },
      make("header", {}, title, status), size, fit, terms, link, bar, activity, trouble, deeds, details,
    );
    card.dataset.model = first.name;
    return {
      element: card,
      update(model) {
        card.dataset.status = model.status;
        card.dataset.fits = model.fits;
        title.textContent = model.title;
        status.textContent = model.words.status;
        for (const [line, text] of [[size, "size"], [fit, "fit"], [terms, "terms"], [activity, "activity"], [trouble, "trouble"]]) {
          say(line, model.words[text]);
        }
        link.hidden = !model.link;
        link.textContent = model.words.link;
        if (model.link) link.href = model.link;
        bar.hidden = model.progress === null;
        bar.value = model.progress ?? 0;
        const address = `/api/models/${encodeURIComponent(model.name)}`;
        const first = model.usable ? [{ act: "use", words: words.use }] : [];
        buttons(deeds, [...first, ...model.acts], async (one) => {
          if (one.act === "use") return use(model.name);
          act(`${address}/${one.act}`, {}, one.question ? await withNeeds(one, address) : one);
        });
        details.hidden = !model.files.length;
        rows(files, model.files);
      },
    };
  }

  // Only when others are possible: whoever is about to press one, or has the focus on it, keeps it.
  function buttons(holder, acts, run) {
    const now = JSON.stringify(acts);
    if (holder.dataset.acts === now) return;
    const focused = holder.contains(document.activeElement) ? document.activeElement.dataset.act : "";
    holder.dataset.acts = now;
    holder.replaceChildren(
      ...acts.map((one) => {
        const button = make("button", { type: "button", className: one.act === "get" || one.act === "resume" ? "press first" : "press", textContent: one.words });
        button.dataset.act = one.act;
        button.addEventListener("click", () => run(one));
        return button;
      }),
    );
    holder.hidden = !acts.length;
    if (focused) (holder.querySelector(`[data-act="${focused}"]`) ?? holder.querySelector("button"))?.focus();
  }

  function rows(list, files) {
    const now = JSON.stringify(files);
    if (list.dataset.files === now) return;
    const before = new Map([...list.children].map((row) => [row.dataset.place, row]));
    list.dataset.files = now;
    const made = files.map((file) => {
      const row = before.get(file.place) ?? make("li", {}, make("div", { className: "words" }, make("b"), make("span"), make("p")), make("div", { className: "deeds" }));
      const { what, status, size, where, trouble } = file.words;
      row.dataset.place = file.place;
      row.dataset.status = file.status;
      row.querySelector("b").textContent = file.name;
      row.querySelector("span").textContent = [what, size, status, where].filter(Boolean).join(" · ");
      say(row.querySelector("p"), trouble);
      buttons(row.querySelector(".deeds"), file.acts, (one) => act(`/api/weights/${one.act}`, { place: file.place }, one));
      return row;
    });
    if (made.some((row, place) => list.children[place] !== row) || list.children.length !== made.length) list.replaceChildren(...made);
  }

  function fileList(section, files) {
    section.hidden = !files.length;
    rows(section.querySelector(".files"), files);
  }

  function plainList(section, files) {
    section.hidden = !files.length;
    const list = section.querySelector(".files");
    const now = JSON.stringify(files);
    if (list.dataset.files === now) return;
    list.dataset.files = now;
    list.replaceChildren(
      ...files.map((file) => make("li", {}, make("div", { className: "words" }, make("b", {}, file.where), make("span", {}, `${file.size} · ${file.words}`)))),
    );
  }

  select.addEventListener("change", () => {
    memory.write("hub", select.value);
    look();
  });
  into.addEventListener("change", () => memory.write("home", into.value));
  document.addEventListener("visibilitychange", look);
  on("view", look);
  // The form offers what was there when the page came; a new page loses nothing of what was typed.
  document.addEventListener("click", (event) => {
    const asIs = event.ctrlKey || event.metaKey || event.shiftKey || !usable || darkroom.form.offers(usable);
    if (asIs || !event.target.closest?.('.views a[data-view="create"]')) return;
    event.preventDefault();
    location.assign(location.pathname);
  });
  look();
};
