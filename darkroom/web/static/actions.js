// The row of buttons below a picture: the tray and the viewer have one each. `show(picture)` says which picture they are for.
darkroom.actions = ({ view }) => {
  const { make, icon, pictures } = darkroom;
  const words = darkroom.words.picture;
  const reuseWords = darkroom.words.reuse;
  let picture = null;

  const small = (name, label, run) => {
    const button = make("button", { type: "button", className: `small ${name}`, title: label, "aria-label": label }, icon(name));
    button.addEventListener("click", run);
    return button;
  };
  const word = (name, label, hint, run) => {
    const button = make("button", { type: "button", className: name, textContent: label, title: hint });
    button.addEventListener("click", run);
    return button;
  };

  const makeAgain = (how) => pictures.again(picture.id, how, { stay: !view });
  const star = small("star", words.star, () => pictures.star(picture.id, !picture.starred));
  const copy = small("copy", words.copy, () => pictures.copy(picture));
  const link = small("link", words.link, () => pictures.copyText(pictures.link(picture.id), words.link_copied));
  const download = make("a", { className: "small download", title: words.download, "aria-label": words.download }, icon("download"));
  const trash = small("trash", words.trash, () => pictures.trash(picture.id));
  const large = small("expand", words.view, () => view?.(picture));
  const again = word("again", words.again, words.again_hint, () => makeAgain("same"));
  const seed = word("again-seed", words.again_seed, words.again_seed_hint, () => makeAgain("seed"));
  const finer = word("again-finer", words.again_finer, words.again_finer_hint, () => makeAgain("finer"));
  const reuse = word("reuse", reuseWords.reuse, reuseWords.title, () => darkroom.reuse({ id: picture.id, what: "all" }));
  const choices = darkroom.menu(reuseWords.more, ["all", "all_but_seed", "prompt", "seed", "size"].map((what) => ({
    label: reuseWords[what],
    run: () => darkroom.reuse({ id: picture.id, what }),
  })));
  const restore = word("restore", words.restore, words.restore, () => pictures.restore(picture.id));
  const purge = word("purge", words.purge, words.purge, () => pictures.purge(picture.id));

  const reuses = make("span", { className: "split" }, reuse, choices);
  const making = make("div", { className: "making" }, again, seed, finer, reuses);
  const keeping = make("div", { className: "keeping" }, star, large, copy, link, download, trash);
  const trashed = make("div", { className: "making trashed" }, restore, purge);
  if (!view) large.remove();
  const element = make("div", { className: "actions", role: "group", "aria-label": words.actions, hidden: true }, making, trashed, keeping);

  function show(shown) {
    picture = shown;
    element.hidden = !picture;
    if (!picture) return;
    const gone = picture.in_trash;
    making.hidden = star.hidden = trash.hidden = link.hidden = gone;
    trashed.hidden = !gone;
    star.setAttribute("aria-pressed", String(picture.starred));
    star.title = picture.starred ? words.unstar : words.star;
    star.setAttribute("aria-label", words.star);
    finer.disabled = !picture.can_be_finer;
    const why = picture.model_is_here ? words.finest : words.model_gone;
    finer.title = picture.can_be_finer ? words.again_finer_hint : why;
    download.href = picture.picture;
    download.download = picture.name;
  }

  darkroom.on("changed", ({ kind, tiles }) => {
    const tile = tiles.find(({ id }) => id === picture?.id);
    if (tile && kind === "star") show({ ...picture, starred: tile.starred });
  });

  return { element, show, star: () => !picture?.in_trash && star.click(), trash: () => !picture?.in_trash && trash.click() };
};
