// Shared by the page's scripts: elements, this browser's memory, asking our own routes, and the small parts of the page.
// Text from anywhere is put in as text, never as HTML.
window.darkroom = (() => {
  const prefix = "darkroom.";

  const memory = {
    key: (name) => prefix + name,
    read(name, otherwise) {
      try {
        return JSON.parse(localStorage.getItem(prefix + name)) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    write(name, value) {
      try {
        localStorage.setItem(prefix + name, JSON.stringify(value));
      } catch {
        // A browser that keeps nothing still works; it only forgets on reload.
      }
    },
  };

  // Throws an Error with `status`: 0 when nobody answered.
  async function ask(address, options = {}) {
    let answer;
    try {
      answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(8000), ...options });
    } catch (cause) {
      throw Object.assign(new Error("no answer", { cause }), { status: 0 });
    }
    if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status });
    return answer.json();
  }

  function fill(template, values) {
    return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
    element.hidden = !text;
  }

  function languages(element) {
    for (const button of element.querySelectorAll("[data-language]")) {
      button.addEventListener("click", () => {
        document.cookie = `darkroom_language=${button.dataset.language}; path=/; max-age=31536000; samesite=lax`;
        location.reload();
      });
    }
  }

  // Why a picture was not started: {title, lines}.
  function refusal(element, props, watch) {
    const box = element.querySelector(".refusal");
    watch("value", () => {
      const { title = "", lines = [] } = props.value ?? {};
      box.querySelector("strong").textContent = title;
      box.querySelector("ul").replaceChildren(
        ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
      );
      box.hidden = !title;
      if (title) box.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }

  return { memory, ask, fill, say, languages, refusal };
})();
