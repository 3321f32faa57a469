// Shared by the page's scripts: elements, this browser's memory, asking our own routes, and the small parts of the page.
// Text from anywhere is put in as text, never as HTML.
window.darkroom = (() => {
  const prefix = "darkroom.";
  // The page's own, said by the server. Gradio puts the browser's in its place, so it is put right again.
  const language = document.documentElement.lang;
  new MutationObserver(() => {
    if (document.documentElement.lang !== language) document.documentElement.lang = language;
  }).observe(document.documentElement, { attributeFilter: ["lang"] });

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

  // By this name the server knows whose turn it is; it says nothing about anyone.
  const client = memory.read("client", null) ?? `browser-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
  memory.write("client", client);

  // Throws an Error with `status`, 0 when nobody answered, and `words`, what the server says about it.
  async function ask(address, options = {}) {
    let answer;
    try {
      const headers = { "Darkroom-Client": client, ...options.headers };
      answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(8000), ...options, headers });
    } catch (cause) {
      throw Object.assign(new Error("no answer", { cause }), { status: 0 });
    }
    if (!answer.ok) {
      const { words = "", problems } = await answer.json().catch(() => ({}));
      throw Object.assign(new Error("refused"), { status: answer.status, words, problems });
    }
    return answer.status === 204 ? null : answer.json();
  }

  function fill(template, values) {
    return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  const number = (count) => count.toLocaleString(language);

  // Room on a disk, as people say it: "18 MB", "1.4 GB".
  function room(bytes) {
    const [unit, size] = bytes >= 1e9 ? ["GB", bytes / 1e9] : bytes >= 1e6 ? ["MB", bytes / 1e6] : ["KB", bytes / 1e3];
    return `${number(Number(size.toFixed(size < 10 ? 1 : 0)))} ${unit}`;
  }

  // An element with its properties and attributes. Text among the children stays text.
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function tell(name, detail) {
    window.dispatchEvent(new CustomEvent(`darkroom:${name}`, { detail }));
  }

  function on(name, listen) {
    window.addEventListener(`darkroom:${name}`, (event) => listen(event.detail ?? {}));
  }

  // Where dialogs and messages live. Gradio keeps our styles for narrow windows to what is inside of it.
  const home = () => document.querySelector(".gradio-container .contain") ?? document.body;

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

  return { language, memory, ask, fill, number, room, make, tell, on, home, say, languages };
})();
