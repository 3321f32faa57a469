// The LoRAs there are, in a sheet to search and pick from. What lies in the folders is asked for each time it opens, so that
// a file that was put there a moment ago is seen. Must not know: which of them the form uses.
darkroom.loraSheet = (sheet, words, { toggle, isUsed, isFull, most }) => {
  const { ask, fill, form, icon, language, make, room, say, tell } = darkroom;
  const GAP = 6;
  const EDGE = 12;
  const ENOUGH = 380;
  const find = (selector) => sheet.querySelector(selector);
  const search = find("input[type=search]");
  let loras = [];
  let asked = 0;
  let asking = "";

  sheet.setAttribute("aria-label", words.title);
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  find(".choose").append(icon("plus"), words.choose);
  find(".about").textContent = words.drop;
  find(".close").textContent = words.close;
  find(".close").addEventListener("click", () => sheet.hidePopover());

  // Once for a model, unless something may have changed.
  async function look(model, anew = false) {
    if (asking === model && !anew) return;
    asking = model;
    const mine = ++asked;
    try {
      const found = await ask(`/api/loras?lang=${language}&model=${encodeURIComponent(model ?? "")}`);
      if (mine !== asked) return;
      loras = found.loras;
      say(find(".said"), "");
    } catch (problem) {
      if (mine !== asked) return;
      asking = "";
      say(find(".said"), problem.words || words.failed);
    }
    show();
    tell("loras");
  }

  function facts({ family, rank, bytes }) {
    return [family, rank && fill(words.rank, { rank }), room(bytes)].filter(Boolean).join(" · ");
  }

  function show() {
    if (!sheet.matches(":popover-open")) return;
    const wanted = search.value.trim().toLowerCase();
    const text = (lora) => [lora.title, lora.name, lora.family, ...lora.words].join("\n").toLowerCase();
    const found = loras.filter((lora) => text(lora).includes(wanted));
    const focused = document.activeElement?.closest?.("[data-name]")?.dataset.name;
    find("ul").replaceChildren(...found.map(entry));
    say(find(".nothing"), found.length ? "" : loras.length ? words.none_found : words.none);
    mark();
    if (focused !== undefined) find(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  function entry(lora) {
    const picture = make("span", { className: "picture", "aria-hidden": "true" });
    const place = lora.picture && new URLSearchParams(lora.picture);
    if (place) picture.append(make("img", { alt: "", loading: "lazy", src: `/api/loras/picture?${place}` }));
    else picture.append([...lora.title][0] ?? "");
    const under = lora.name.toLowerCase() === lora.title.toLowerCase() ? [] : [make("span", { className: "file" }, lora.name)];
    const said = lora.why
      ? [make("span", { className: "why" }, lora.why)]
      : lora.words.length ? [make("span", { className: "words" }, lora.words.join(" · "))] : [];
    const button = make("button", { type: "button", className: "lora", "data-name": lora.name },
      picture,
      make("span", { className: "texts" },
        make("span", { className: "name" }, lora.title), ...under, make("span", { className: "facts" }, facts(lora)), ...said),
      make("span", { className: "mark", "aria-hidden": "true" }, icon("check")));
    button.title = [lora.name, lora.layout].filter(Boolean).join(" · ");
    if (lora.why) button.setAttribute("aria-disabled", "true");
    else button.addEventListener("click", () => (isFull() && !isUsed(lora.name) ? say(find(".said"), most) : toggle(lora)));
    return make("li", {}, button);
  }

  function mark() {
    for (const button of sheet.querySelectorAll(".lora")) {
      const used = isUsed(button.dataset.name);
      button.setAttribute("aria-pressed", used);
      if (!button.querySelector(".why")) button.toggleAttribute("data-full", isFull() && !used);
    }
    if (!isFull() && find(".said").textContent === most) say(find(".said"), "");
  }

  function put(lora) {
    loras = [...loras.filter((each) => each.name !== lora.name), lora];
    show();
    tell("loras");
  }

  // Under its button, or over it where there is more room. In narrow windows the style puts it at the lower edge.
  sheet.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "open") return;
    const button = document.querySelector(`[popovertarget="${sheet.id}"]`).getBoundingClientRect();
    const controls = document.querySelector("#prompt").getBoundingClientRect();
    const [above, below] = [button.top - GAP - EDGE, innerHeight - button.bottom - GAP - EDGE];
    const isUnder = below >= ENOUGH || below >= above;
    sheet.style.left = `${Math.max(EDGE, controls.left) + scrollX}px`;
    sheet.style.width = `${Math.min(Math.max(controls.width, 340), innerWidth - 2 * EDGE)}px`;
    sheet.style.top = isUnder ? `${button.bottom + GAP + scrollY}px` : "auto";
    sheet.style.bottom = isUnder ? "auto" : `${document.documentElement.clientHeight - button.top - scrollY + GAP}px`;
    sheet.style.maxHeight = `${Math.max(260, isUnder ? below : above)}px`;
  });
  sheet.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    search.value = "";
    say(find(".said"), "");
    show();
    // Where a keyboard would come up over half of the sheet, it waits until it is asked for.
    if (matchMedia("(hover: hover)").matches) search.focus({ preventScroll: true });
    look(form.read().model, true);
  });
  search.addEventListener("input", show);
  // From the search down into the list and back, as in any list.
  sheet.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [search, ...sheet.querySelectorAll(".lora")];
    const place = stops.indexOf(document.activeElement);
    if (place < 0) return;
    event.preventDefault();
    stops[Math.max(0, Math.min(stops.length - 1, place + (event.key === "ArrowDown" ? 1 : -1)))].focus();
  });

  return {
    look, put, mark, facts,
    about: (name) => loras.find((lora) => lora.name === name),
    onFiles(readAll) {
      const chooser = find("input[type=file]");
      find(".choose").addEventListener("click", () => chooser.click());
      chooser.addEventListener("change", () => {
        const files = [...chooser.files];
        chooser.value = "";
        if (files.length) sheet.hidePopover();
        readAll(files);
      });
    },
  };
};
