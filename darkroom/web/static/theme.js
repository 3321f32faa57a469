// Light, dark, or as the system: remembered, and put on before the first paint. Gradio follows the system by itself and
// marks the body; where a person chose otherwise, its mark is set right each time.
darkroom.theme = (() => {
  const { memory } = darkroom;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => memory.read("theme", "system");
  const isDark = () => (chosen() === "system" ? system.matches : chosen() === "dark");

  function apply() {
    document.documentElement.style.colorScheme = isDark() ? "dark" : "light";
    if (document.body && document.body.classList.contains("dark") !== isDark()) {
      document.body.classList.toggle("dark", isDark());
    }
  }

  function watchBody() {
    new MutationObserver(apply).observe(document.body, { attributeFilter: ["class"] });
    apply();
  }

  apply();
  if (document.body) watchBody();
  else document.addEventListener("DOMContentLoaded", watchBody);
  system.addEventListener("change", apply);

  // The switch in the masthead.
  return (element) => {
    const buttons = element.querySelectorAll("[data-theme]");
    function press() {
      for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.theme === chosen());
    }
    for (const button of buttons) {
      button.addEventListener("click", () => {
        memory.write("theme", button.dataset.theme);
        apply();
        press();
      });
    }
    window.addEventListener("storage", (event) => {
      if (event.key !== memory.key("theme")) return;
      apply();
      press();
    });
    press();
  };
})();
