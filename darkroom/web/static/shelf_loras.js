// The LoRAs of the Models view: asked for when it is seen and when one has come or gone. One that a person removes is asked
// about first, with what depends on it. Must not know: where they lie.
darkroom.shelfLoras = (element, props) => {
  const { ask, language, make, on } = darkroom;
  const { words } = props;
  const section = element.querySelector(".lora-files");
  const list = section.querySelector(".files");
  let round = 0; // answers to an older question are dropped

  section.querySelector("h3").textContent = words.loras_title;
  section.querySelector(".about").textContent = words.loras_about;

  const address = (path, more = {}) => `/api/lora-files${path}?${new URLSearchParams({ lang: language, ...more })}`;
  const isSeen = () => document.documentElement.dataset.view === "models" && !document.hidden;

  async function look() {
    if (!isSeen()) return;
    const mine = (round += 1);
    try {
      const { loras } = await ask(address(""));
      if (mine === round) show(loras);
    } catch {
      // The cards above say that nobody answers.
    }
  }

  function show(loras) {
    section.hidden = !loras.length;
    const now = JSON.stringify(loras);
    if (list.dataset.files === now) return;
    list.dataset.files = now;
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
    const index = [...list.children].indexOf(focused);
    list.replaceChildren(...loras.map((lora) => rowOf(lora, loras.some((other) => other !== lora && other.name === lora.name))));
    if (focused) stay(focused.dataset.place, index);
  }

  // Whoever has the focus on a row keeps it there; if it has gone, on the one that took its place.
  function stay(place, index) {
    const rows = [...list.children];
    const row = rows.find((each) => each.dataset.place === place) ?? rows.slice(index).find((each) => each.querySelector("button"));
    const buttons = row ? [row.querySelector("button")] : [...list.querySelectorAll("button")].slice(-1);
    (buttons[0] ?? element.querySelector("button:not([hidden])"))?.focus();
  }

  function rowOf(lora, hasDouble) {
    const row = make("li", {}, make("div", { className: "words" }, make("b", {}, lora.name), make("span", {}, lora.words.facts)));
    row.dataset.place = lora.place;
    row.dataset.status = lora.status;
    if (!lora.words.remove) return row;
    const button = make("button", { type: "button", className: "press", textContent: lora.words.remove });
    button.dataset.act = "remove";
    button.setAttribute("aria-label", `${lora.words.remove}: ${hasDouble ? `${lora.name}, ${lora.place}` : lora.name}`);
    button.addEventListener("click", () => remove(lora));
    row.append(make("div", { className: "deeds" }, button));
    return row;
  }

  async function remove({ place }) {
    try {
      const { question } = await ask(address("/question", { place }));
      if (!(await darkroom.sure(question, words.remove_yes, words.keep))) return;
      const { loras } = await ask(address("/remove"), { method: "POST", body: JSON.stringify({ place, consent: true }) });
      round += 1;
      show(loras);
      darkroom.tell("lora-removed");
    } catch (problem) {
      darkroom.toast(problem.words || words.failed);
      look();
    }
  }

  document.addEventListener("visibilitychange", look);
  on("view", look);
  on("loras", look);
  look();
};
