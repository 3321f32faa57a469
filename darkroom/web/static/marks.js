// Marks words where they stand in the prompt: a sheet of glass over the field, with the same text in the same places,
// through which what is not read looks pale. It takes no clicks, and screen readers pass over it.
darkroom.marks = (() => {
  const { make, on } = darkroom;
  const LONGEST = 20000; // beyond this nothing can be read anyway
  const glass = make("div", { className: "glass", "aria-hidden": "true" });
  let found = { unread: null, notes: [] };
  let checkedText = "";

  function draw() {
    const field = darkroom.form.input("prompt");
    if (!field) return;
    if (glass.parentElement !== field.parentElement) {
      field.parentElement.style.position = "relative";
      field.after(glass);
      field.addEventListener("scroll", follow, { passive: true });
      new ResizeObserver(draw).observe(field);
    }
    darkroom.caret.wear(glass, field);
    glass.style.left = `${field.offsetLeft + field.clientLeft}px`;
    glass.style.top = `${field.offsetTop + field.clientTop}px`;
    glass.style.height = `${field.clientHeight}px`;
    // Places are of the text that was checked; while someone types on, only what stands before the change still holds.
    const text = field.value.length > LONGEST ? "" : field.value;
    const holds = text === checkedText ? text.length : common(text, checkedText);
    glass.replaceChildren(...pieces(text, holds));
    follow();
  }

  function common(one, other) {
    let length = 0;
    while (length < one.length && one[length] === other[length]) length += 1;
    return length;
  }

  function pieces(text, holds) {
    const cut = found.unread && found.unread.start <= holds ? found.unread.start : text.length;
    const parts = [];
    let place = 0;
    for (const { start, end } of found.notes) {
      if (end > holds || end > cut) break;
      parts.push(text.slice(place, start), make("u", {}, text.slice(start, end)));
      place = end;
    }
    parts.push(text.slice(place, cut));
    // The last line break is only drawn when something follows it.
    parts.push(make("s", {}, text.slice(cut)), "\u200b");
    return parts;
  }

  function follow() {
    glass.scrollTop = darkroom.form.input("prompt")?.scrollTop ?? 0;
  }

  on("checked", ({ unread, places, prompt }) => {
    found = { unread, notes: places };
    checkedText = prompt;
    draw();
  });
  on("form", draw);
  return { draw };
})();
