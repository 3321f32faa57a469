// Under the prompt: how much of it the model reads, and what it reads differently than other tools do.
darkroom.promptTools = (element, props) => {
  const { form, on, make, say } = darkroom;
  const { words } = props;
  const find = (selector) => element.querySelector(selector);
  find(".recall").textContent = words.history;
  find(".styles").textContent = words.styles;
  find(".tokens").title = words.tokens_about;
  find(".unread button").textContent = words.show;

  // Whoever comes to write can write at once, where that brings up no keyboard over half of the page. (Gradio's own
  // autofocus takes the focus again with each change of the prompt, away from whoever has gone on to another field.)
  window.addEventListener("darkroom:restored", () => {
    const isFree = document.activeElement === document.body && document.documentElement.dataset.view === "create";
    if (isFree && matchMedia("(hover: hover)").matches) form.input("prompt")?.focus({ preventScroll: true });
  }, { once: true });

  // The words meant, selected where they stand.
  function point(start, end) {
    const field = form.input("prompt");
    field.focus();
    field.setSelectionRange(start, end);
    // Browsers scroll to a selection only when something is typed; this comes close.
    field.scrollTop = (field.scrollHeight * start) / Math.max(1, field.value.length) - field.clientHeight / 2;
  }

  let unread = null;
  find(".unread button").addEventListener("click", () => point(unread.start, form.input("prompt").value.length));

  on("checked", ({ tokens, unread: found, notes, problems }) => {
    unread = found;
    find(".tokens").hidden = !tokens || !form.read().prompt;
    if (tokens) {
      find(".count").textContent = tokens.words;
      find(".meter i").style.width = `${Math.min(100, (tokens.used / tokens.limit) * 100)}%`;
      find(".tokens").classList.toggle("over", tokens.used > tokens.limit);
    }
    say(find(".unread span"), problems.prompt ?? found?.words ?? "");
    find(".unread button").hidden = !found || Boolean(problems.prompt);
    find(".unread").hidden = !found && !problems.prompt;
    find(".notes").replaceChildren(
      ...notes.map((note) => {
        const pieces = note.pieces.map(({ text, start, end }) => {
          const piece = make("button", { type: "button", className: "piece" }, text);
          piece.addEventListener("click", () => point(start, end));
          return piece;
        });
        return make("li", {}, ...pieces.flatMap((piece) => [piece, " "]), note.words);
      }),
    );
  });
};

// A sheet under the button that opens it, within the window.
darkroom.placeSheet = (sheet) => {
  const GAP = 6;
  const EDGE = 12;
  sheet.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "open") return;
    const button = document.querySelector(`[popovertarget="${sheet.id}"]`).getBoundingClientRect();
    const controls = document.querySelector("#prompt").getBoundingClientRect();
    sheet.style.left = `${Math.max(EDGE, controls.left) + window.scrollX}px`;
    sheet.style.top = `${button.bottom + GAP + window.scrollY}px`;
    sheet.style.width = `${Math.min(Math.max(controls.width, 340), innerWidth - 2 * EDGE)}px`;
  });
};
