// The sheet of shortcuts, and the shortcuts that belong to no single part of the page.
darkroom.help = (element, props) => {
  const { make } = darkroom;
  const { rows, words } = props;
  const sheet = element.querySelector("dialog");
  sheet.querySelector("h2").textContent = words.title;
  sheet.querySelector("button").textContent = words.close;
  sheet.setAttribute("aria-label", words.title);
  sheet.querySelector("dl").append(
    ...rows.flatMap(([keys, what]) => [
      make("dt", {}, ...keys.flatMap((key, place) => [place ? " " : "", make("span", { className: "key" }, key)])),
      make("dd", {}, what),
    ]),
  );
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());

  function open() {
    if (sheet.open) return;
    sheet.showModal();
    darkroom.layers.add(sheet);
  }
  document.addEventListener("click", (event) => event.target.closest?.("#open-help") && open());

  const isTyping = (target) => target.closest?.("input:not([type=range], [type=radio]), textarea, select, [contenteditable]");
  const isBusy = () => document.querySelector("dialog[open], :popover-open");

  // Seen before anyone hears of the key: who closes a list has closed it when the key arrives below.
  let isListOpen = false;
  document.addEventListener("keydown", () => {
    isListOpen = document.querySelector("[role=listbox], [role=combobox][aria-expanded=true]") !== null;
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    // Nothing is stopped that cannot be seen.
    const isWatching = ["create", "queue"].includes(document.documentElement.dataset.view);
    if (event.key === "Escape" && isWatching && !isListOpen && !isBusy()) document.querySelector(".watch .stop:not([hidden], :disabled)")?.click();
    if (isTyping(event.target) || isBusy()) return;
    if (event.key === "?") open();
    else if (event.key === "/") {
      event.preventDefault();
      darkroom.views.show("history");
      document.querySelector("#history input[type=search]")?.focus();
    }
  });
};
