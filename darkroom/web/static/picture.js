// What a person can do with one finished picture, wherever it is shown. Whoever shows pictures listens to "changed".
darkroom.pictures = (() => {
  const { ask, tell } = darkroom;
  const offered = new Map(); // the messages that offer to undo, by picture
  const language = () => document.documentElement.lang;
  const words = () => darkroom.words.picture;
  const failed = (problem) => darkroom.toast(problem.words || words().failed);

  function get(id, list = {}) {
    const query = new URLSearchParams({ lang: language(), ...list });
    return ask(`/api/pictures/${id}?${query}`);
  }

  // `kind` is what happened: star, trash, restore or purge. Whether it worked.
  async function change(kind, id, method, path = "") {
    try {
      const tile = await ask(`/api/pictures/${id}${path}?lang=${language()}`, { method });
      tell("changed", { kind, id, tile });
      return true;
    } catch (problem) {
      failed(problem);
      return false;
    }
  }

  const star = (id, starred) => change("star", id, starred ? "PUT" : "DELETE", "/star");

  async function trash(id) {
    if (await change("trash", id, "DELETE")) {
      const undo = () => change("restore", id, "POST", "/restore");
      offered.set(id, darkroom.toast(words().trashed, { label: words().undo, action: undo }));
    }
  }

  async function restore(id) {
    if (await change("restore", id, "POST", "/restore")) darkroom.toast(words().restored);
  }

  async function purge(id) {
    if (!(await darkroom.sure(words().purge_sure, words().purge, words().keep))) return;
    if (await change("purge", id, "POST", "/purge")) darkroom.toast(words().purged);
  }

  // `how` is same, seed or finer. `stay`: the person is looking at pictures, and asks for the tray if they want to.
  async function again(id, how, { stay = false } = {}) {
    try {
      const job = await ask(`/api/pictures/${id}/again?how=${how}&lang=${language()}`, { method: "POST" });
      darkroom.memory.write("seed", job.seed);
      darkroom.queue.add([job.id]);
      if (stay) darkroom.toast(words().queued, { label: darkroom.words.watch.follow, action: () => tell("live") });
      else tell("live");
    } catch (problem) {
      failed(problem);
    }
  }

  // The stored file's own bytes, its text chunks included, as far as the browser lets them through.
  async function copy(picture) {
    if (!window.isSecureContext || !navigator.clipboard?.write || !window.ClipboardItem) {
      darkroom.toast(words().copy_forbidden);
      return;
    }
    try {
      const bytes = fetch(picture.picture).then((answer) => answer.blob());
      await navigator.clipboard.write([new ClipboardItem({ "image/png": bytes })]);
      darkroom.toast(words().copied);
    } catch {
      darkroom.toast(words().copy_failed);
    }
  }

  async function copyText(text, said) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Outside of https and localhost there is only the old way, which works on a selection.
      const { activeElement } = document;
      const home = document.querySelector("dialog[open]") ?? document.body;
      const field = darkroom.make("textarea", { value: text, className: "offscreen", readOnly: true });
      home.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      activeElement?.focus();
    }
    darkroom.toast(said);
  }

  darkroom.on("changed", ({ kind, id }) => {
    if (kind !== "restore" && kind !== "purge") return;
    offered.get(id)?.();
    offered.delete(id);
  });

  const link = (id) => new URL(`/?picture=${id}`, location.href).href;

  return { get, star, trash, restore, purge, again, copy, copyText, link };
})();
