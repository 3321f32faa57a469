// Earlier prompts: a sheet to search and pick from, and the arrow keys in the first and last line of the prompt.
darkroom.recall = (element, props) => {
  const { form, ask, make, on, say } = darkroom;
  const { words } = props;
  const TYPING = 200;
  const MOST_TYPED = 20;
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
        const button = make("button", { type: "button" }, make("span", {}, prompt));
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

  // Like a terminal: up is older, down is newer, and after the newest comes what was being written. Whatever was typed
  // over an older prompt stays in its place, and is still found after another prompt was sent.
  let lines = []; // {was, text}: what is being written, then ever older prompts
  let place = 0; // 0 while nobody leafs through them
  let put = null; // the prompt as the last turn left it
  let busy = false;
  let typed = []; // what was written and neither sent nor thrown away by hand

  const field = () => form.input("prompt");

  async function begin() {
    stow(lines.slice(1));
    const known = await earlier();
    const text = field().value;
    const older = [...typed.filter((each) => !known.includes(each)), ...known].filter((each) => each !== text);
    lines = [text, ...older].map((each) => ({ was: each, text: each }));
  }

  async function turn(by) {
    if (busy) return;
    busy = true;
    try {
      if (!place) await begin();
      lines[place].text = field().value;
      const next = Math.min(Math.max(place + by, 0), lines.length - 1);
      if (next === place) return;
      place = next;
      put = lines[place].text;
      form.write("prompt", put);
      field().setSelectionRange(0, 0);
      field().scrollTop = 0;
    } catch {
      // Nobody answers; the prompt stays as it is.
    } finally {
      busy = false;
    }
  }

  // Prompts that were changed while leafing, for the next time.
  function stow(changed) {
    const texts = changed.filter(({ was, text }) => was !== text && text.trim()).map(({ text }) => text);
    typed = [...new Set([...texts, ...typed])].slice(0, MOST_TYPED);
  }

  // The prompt is about to be replaced, or was sent: what else was written is kept.
  function end(sent) {
    const drafts = place ? [{ was: null, text: lines[0].text }, ...lines.slice(1)] : lines.slice(1);
    if (sent === undefined) drafts.unshift({ was: null, text: field()?.value ?? "" });
    stow(drafts.filter(({ text }) => text !== sent));
    lines = [];
    place = 0;
  }

  on("asked", ({ prompt }) => end(prompt));
  on("reused", () => end());

  document.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || event.target !== field() || event.isComposing) return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { selectionStart: start, selectionEnd: finish, value } = field();
    // Right after a turn the next one needs no way through the lines.
    const untouched = place > 0 && value === put && start === 0 && finish === 0;
    const { first, last } = darkroom.caret.line(field());
    if (!untouched && !(by > 0 ? first : place > 0 && last)) return;
    event.preventDefault();
    turn(by);
  });
};
