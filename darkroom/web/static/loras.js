// The LoRAs that will be used: a row for each, with its weight, what it is, and the words that wake it. They come from the
// sheet, from the prompt, from a dropped file, or with the parameters of a picture. Must not know: what a LoRA does.
darkroom.loras = (element, props) => {
  const { fill, form, icon, make, on, say, triggerWords } = darkroom;
  const { words, most, largest, step } = props;
  const find = (selector) => element.querySelector(selector);
  const list = find(".uses");
  const told = find(".loras > .told");
  const rows = new Map(); // by name
  let problems = {};
  let taken = []; // out of the prompt, as long as they are used

  find(".title").textContent = words.title;
  find(".add").append(icon("plus"), words.add);

  const uses = () => {
    const { loras } = form.read();
    return Array.isArray(loras) ? loras : [];
  };
  const shelf = darkroom.loraSheet(find("#lora-sheet"), words, { toggle, isUsed, isFull: () => uses().length >= most, most: words.most });

  function isUsed(name) {
    return uses().some((use) => use.name === name);
  }

  function toggle(lora) {
    if (isUsed(lora.name)) return remove(lora.name);
    if (uses().length < most) form.set("loras", [...uses(), { name: lora.name, weight: lora.weight }]);
  }

  function remove(name) {
    form.set("loras", uses().filter((use) => use.name !== name));
  }

  const weigh = (name, weight) => form.set("loras", uses().map((use) => (use.name === name ? { ...use, weight } : use)));

  // --- rows

  function rowOf(name) {
    const handle = make("input", { type: "range", min: -largest, max: largest, step, "aria-label": fill(words.weight_of, { name }) });
    const number = make("input", {
      type: "number", min: -largest, max: largest, step, inputMode: "decimal", "aria-label": fill(words.weight_of, { name }),
    });
    const away = make("button", { type: "button", className: "away", title: words.remove, "aria-label": fill(words.remove_one, { name }) }, icon("close"));
    const row = {
      title: make("span", { className: "name" }),
      file: make("span", { className: "file", hidden: true }),
      facts: make("p", { className: "facts" }),
      wakers: make("p", { className: "wakers", hidden: true }),
      wrong: make("p", { className: "wrong", hidden: true }),
      handle,
      number,
    };
    row.item = make("li", {},
      make("div", { className: "line" }, make("span", { className: "names" }, row.title, row.file), number, away),
      handle, row.facts, row.wakers, row.wrong);
    handle.addEventListener("input", () => {
      number.value = handle.value;
      paint(row);
      weigh(name, Number(handle.value));
    });
    number.addEventListener("input", () => {
      const weight = number.value === "" ? null : Number(number.value);
      if (weight !== null) handle.value = weight;
      paint(row);
      weigh(name, weight);
    });
    away.addEventListener("click", () => {
      const next = row.item.nextElementSibling ?? row.item.previousElementSibling;
      remove(name);
      (next?.querySelector(".away") ?? find(".add")).focus();
    });
    return row;
  }

  // From the middle, which is nothing, to where the handle is.
  function paint({ handle }) {
    const at = ((Number(handle.value) + largest) / (2 * largest)) * 100;
    handle.style.setProperty("--from", `${Math.min(50, at)}%`);
    handle.style.setProperty("--to", `${Math.max(50, at)}%`);
  }

  const titleOf = ({ name }) => shelf.about(name)?.title ?? name;

  function show(row, use, place) {
    const about = shelf.about(use.name);
    row.title.textContent = titleOf(use);
    row.title.title = use.name;
    const namesake = uses().some((other) => other.name !== use.name && titleOf(other) === titleOf(use));
    say(row.file, namesake ? use.name : "");
    if (document.activeElement !== row.number) row.number.value = use.weight ?? "";
    if (document.activeElement !== row.handle) row.handle.value = use.weight ?? 1;
    paint(row);
    row.facts.textContent = about ? shelf.facts(about) : "";
    row.facts.title = about?.layout ?? "";
    row.facts.hidden = !row.facts.textContent;
    showWakers(row, about?.words ?? []);
    const wrong = Object.entries(problems).filter(([field]) => field.startsWith(`loras.${place}.`) || field === `loras.${place}`);
    say(row.wrong, wrong.map(([, said]) => said).join(" "));
    row.number.toggleAttribute("data-wrong", wrong.some(([field]) => field.endsWith(".weight")));
  }

  // Buttons stay the same ones: whoever is on one stays on it.
  function showWakers(row, found) {
    const values = form.read();
    row.wakers.hidden = !found.length;
    if (row.wakers.dataset.words !== JSON.stringify(found)) {
      row.wakers.dataset.words = JSON.stringify(found);
      row.wakers.replaceChildren(make("span", {}, words.wakers), ...found.map(waker));
    }
    [...row.wakers.querySelectorAll("button")].forEach((button, place) => {
      const isThere = triggerWords.isIn(values, found[place]);
      if (button.hasAttribute("data-there") === isThere && button.title) return;
      button.toggleAttribute("data-there", isThere);
      button.title = isThere ? words.is_there : words.insert;
      button.setAttribute("aria-label", fill(isThere ? words.there_one : words.insert_one, { word: found[place] }));
      button.querySelector("svg").replaceWith(icon(isThere ? "check" : "plus"));
    });
  }

  function waker(word) {
    const button = make("button", { type: "button", className: "waker" }, icon("plus"), word);
    button.addEventListener("click", () => insert(word));
    return button;
  }

  // Whoever is elsewhere stays there.
  function insert(word) {
    const values = form.read();
    if (triggerWords.isIn(values, word)) return;
    const focused = document.activeElement;
    form.write("prompt", triggerWords.put(values, word));
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }

  function draw() {
    const wanted = uses().filter((use) => typeof use?.name === "string");
    for (const [name, row] of rows) {
      if (!wanted.some((use) => use.name === name)) {
        row.item.remove();
        rows.delete(name);
      }
    }
    if (!taken.every(({ name }) => isUsed(name))) tellTaken(taken.filter(({ name }) => isUsed(name)));
    wanted.forEach((use, place) => {
      if (!rows.has(use.name)) rows.set(use.name, rowOf(use.name));
      const row = rows.get(use.name);
      if (list.children[place] !== row.item) list.insertBefore(row.item, list.children[place] ?? null);
      show(row, use, place);
    });
    list.hidden = !wanted.length;
    say(find(".loras > .wrong"), problems.loras ?? "");
    shelf.mark();
    if (wanted.some((use) => !shelf.about(use.name))) shelf.look(form.read().model);
  }

  let model = null;
  on("form", (values) => {
    if (values.model !== model) {
      model = values.model;
      if (uses().length) shelf.look(model, true);
    }
    draw();
  });
  on("loras", draw);
  on("lora-removed", () => shelf.look(form.read().model, true));
  on("reused", () => tellTaken([]));
  on("checked", (found) => {
    problems = Object.fromEntries(Object.entries(found.problems).filter(([field]) => field.split(".")[0] === "loras"));
    if (found.loras && !darkroom.loraTags.isComposing()) take(found);
    draw();
  });

  // --- from the prompt

  function take({ prompt, loras: { cuts, uses: wanted } }) {
    if (form.read().prompt !== prompt) return;
    const before = new Map(uses().map((use) => [use.name, use.weight]));
    darkroom.loraTags.cut(cuts);
    form.set("loras", wanted);
    tellTaken(wanted.filter((use) => before.get(use.name) !== use.weight));
  }

  function tellTaken(loras) {
    taken = loras;
    const names = taken.map(({ name, weight }) => `${name} × ${weight}`).join(", ");
    say(told, names && fill(words.taken, { names }));
  }

  // --- files

  const files = darkroom.loraArrivals(list, words, {
    arrived(lora) {
      shelf.put(lora);
      if (lora.refusal) return darkroom.toast(lora.refusal);
      if (!isUsed(lora.name)) toggle(lora);
      draw();
      if (!isUsed(lora.name)) return darkroom.toast(words.most);
      darkroom.toast(fill(words.added, { name: lora.title }));
      rows.get(lora.name)?.item.scrollIntoView({ block: "nearest", behavior: "smooth" });
    },
    model: () => form.read().model,
  });
  darkroom.loraFiles = files; // also for those that are dropped anywhere on the page
  shelf.onFiles(files.readAll);
};
