// A picture file dropped on the page, or chosen: what it says of its making, shown before anything is filled in.
darkroom.readingOf = () => {
  const { ask, fill, language, make } = darkroom;
  const words = darkroom.words.reuse;
  const PATIENCE = 60000;
  const home = darkroom.home();
  const veil = make("div", { className: "drop-veil", hidden: true },
    make("div", {}, darkroom.icon("picture"), make("strong", {}, words.drop), make("span", {}, words.drop_hint)));
  const chooser = make("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: true, tabIndex: -1 });
  chooser.setAttribute("aria-label", words.read);
  home.append(veil, chooser);

  const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;

  function lower() {
    depth = 0;
    veil.hidden = true;
  }

  // Caught before the page's fields see it: some of them would take the file themselves.
  document.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    depth += 1;
    veil.hidden = false;
  }, true);
  document.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  }, true);
  document.addEventListener("dragleave", (event) => {
    if (carriesFile(event) && (depth -= 1) <= 0) lower();
  }, true);
  document.addEventListener("drop", async (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    event.stopPropagation();
    lower();
    const files = [...event.dataTransfer.files];
    const [file] = files;
    const loras = files.filter((each) => darkroom.loraFiles?.accepts(each));
    const taker = [darkroom.styleFiles, darkroom.promptFiles].find((each) => file && each?.accepts(file));
    // What these bring is seen and used behind whatever lies over the page.
    if (loras.length || taker) await darkroom.layers.clear();
    if (loras.length) darkroom.loraFiles.readAll(loras);
    else if (file) (taker ?? { read }).read(file);
  }, true);
  chooser.addEventListener("change", () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) read(file);
  });

  async function read(file) {
    const away = darkroom.toast(words.reading);
    try {
      const found = await ask(`/api/read?${new URLSearchParams({ lang: language, model: darkroom.form.read().model ?? "" })}`, {
        method: "POST", body: file, signal: AbortSignal.timeout(PATIENCE), headers: { "Content-Type": "application/octet-stream" },
      });
      away();
      show(file, found);
    } catch (problem) {
      away();
      darkroom.toast(problem.words || darkroom.words.picture.failed);
    }
  }

  function show(file, { origin, values, rows, unused }) {
    const came = document.activeElement;
    const address = URL.createObjectURL(file);
    const title = fill(words.made_with, { origin });
    const dialog = make("dialog", { className: "reading", "aria-label": title });
    const parts = { prompt: "prompt", seed: "seed", size: "width" };
    const use = (what) => {
      const button = make("button", { type: "button", className: what, textContent: words[what] });
      button.disabled = what in parts && values[parts[what]] === undefined;
      button.addEventListener("click", () => {
        dialog.close();
        darkroom.reuse({ values, origin, what });
      });
      return button;
    };
    const uses = ["all", "all_but_seed", "prompt", "seed", "size"].map(use);
    const close = make("button", { type: "button", className: "close tool", "aria-label": darkroom.words.viewer.close }, darkroom.icon("close"));
    close.addEventListener("click", () => dialog.close());
    const left = unused.length
      ? [make("h3", {}, words.unused_title), make("ul", {}, ...unused.map((line) => make("li", {}, line)))]
      : [];
    const image = make("img", { alt: "", src: address });
    image.addEventListener("error", () => image.remove());
    dialog.append(
      make("header", {}, make("h2", {}, title), close),
      make("div", { className: "body", tabIndex: 0, role: "group", "aria-label": words.found },
        image,
        make("div", { className: "found" },
          make("p", { className: "prompt" }, values.prompt || words.no_prompt),
          make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
          ...left)),
      make("div", { className: "uses" }, ...uses),
    );
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      URL.revokeObjectURL(address);
      if (came?.isConnected) came.focus();
    });
    home.append(dialog);
    dialog.showModal();
    darkroom.layers.add(dialog);
    uses[0].focus();
  }

  return { choose: () => chooser.click() };
};
