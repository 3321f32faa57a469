// Earlier prompts: a sheet to search and pick from, and the arrow keys at the beginning of the prompt.
darkroom.recall = (element, props) => {
  const { form, ask, make, say } = darkroom;
  const { words } = props;
  const TYPING = 200;
  const sheet = element.querySelector("[popover]");
  const search = sheet.querySelector("input");
  const list = sheet.querySelector("ul");
  search.placeholder = words.search;
  search.setAttribute("aria-label", words.search);
  sheet.setAttribute("aria-label", words.history);
  darkroom.placeSheet(sheet);

  const earlier = async (q = "") => (await ask(`/api/prompts?${new URLSearchParams({ q })}`)).prompts;

  async function show() {
    let prompts = [];
    let nothing = search.value.trim() ? words.none_found : words.none;
    try {
      prompts = await earlier(search.value);
    } catch (problem) {
      nothing = problem.words || words.failed;
    }
    list.replaceChildren(
      ...prompts.map((prompt) => {
        const button = make("button", { type: "button" }, prompt);
        button.addEventListener("click", () => {
          sheet.hidePopover();
          form.write("prompt", prompt);
        });
        return make("li", {}, button);
      }),
    );
    say(sheet.querySelector(".nothing"), prompts.length ? "" : nothing);
  }

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(show, TYPING);
  });
  sheet.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    search.value = "";
    show();
  });
  sheet.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const stops = [search, ...list.querySelectorAll("button")];
    stops[Math.min(Math.max(stops.indexOf(document.activeElement) + by, 0), stops.length - 1)].focus();
  });

  // Like a terminal: up is older, down is newer, and after the newest comes what was being written.
  let place = -1;
  let found = [];
  let draft = "";

  async function turn(by) {
    if (place < 0) {
      draft = form.input("prompt").value;
      try {
        found = (await earlier()).filter((prompt) => prompt !== draft);
      } catch {
        return;
      }
    }
    const next = Math.min(place + by, found.length - 1);
    if (next === place) return;
    place = next;
    form.write("prompt", place < 0 ? draft : found[place]);
    const field = form.input("prompt");
    field.setSelectionRange(0, 0);
    field.scrollTop = 0;
  }

  document.addEventListener("keydown", (event) => {
    const field = form.input("prompt");
    if (event.target !== field || event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (place >= 0 && field.value !== found[place]) place = -1;
    const isAtStart = field.selectionStart === 0 && field.selectionEnd === 0;
    if (event.key === "ArrowUp" && isAtStart) {
      event.preventDefault();
      turn(1);
    } else if (event.key === "ArrowDown" && isAtStart && place >= 0) {
      event.preventDefault();
      turn(-1);
    }
  });
};
