// The line above the trash: how long pictures stay there, and a button that empties it, once a person has said so twice.
darkroom.trash = (element, { emptied }) => {
  const { ask, fill, make, number, room } = darkroom;
  const words = darkroom.words.history;
  const PATIENCE = 120000;
  const hint = make("span", {}, words.trash_hint);
  const button = make("button", { type: "button", className: "quiet empty-trash", hidden: true });
  let found = null;
  let round = 0;
  element.append(hint, button);

  const sentence = (name) =>
    fill(found.pictures === 1 ? words[`${name}_one`] : words[name], { count: number(found.pictures), room: room(found.bytes) });

  // `wish` is whether the trash is being looked at.
  async function show(wish) {
    const mine = (round += 1);
    element.hidden = !wish;
    if (!wish) return;
    try {
      const news = await ask("/api/trash");
      if (mine !== round) return;
      found = news;
      button.hidden = !found.pictures;
      button.textContent = sentence("empty_trash");
      hint.hidden = !found.pictures;
    } catch {
      button.hidden = true;
    }
  }

  button.addEventListener("click", async () => {
    const { pictures, seen_at: seenAt } = found;
    const { keep, keep_many: keepMany } = darkroom.words.picture;
    if (!(await darkroom.sure(sentence("empty_sure"), words.empty_yes, pictures === 1 ? keep : keepMany))) return;
    button.disabled = true;
    try {
      const { removed } = await ask(`/api/trash?seen_at=${seenAt}`, { method: "DELETE", signal: AbortSignal.timeout(PATIENCE) });
      darkroom.pictures.withdraw();
      emptied();
      const text = removed === 1 ? darkroom.words.picture.purged : fill(darkroom.words.picture.purged_many, { count: number(removed) });
      if (removed || pictures) darkroom.toast(text);
    } catch (problem) {
      darkroom.toast(problem.words || darkroom.words.picture.failed);
    }
    button.disabled = false;
  });

  return { show };
};
