// What a person can do with one finished picture, wherever it is shown. Whoever shows pictures listens to "changed".
darkroom.pictures = (() => {
  const { ask, fill, language, number, tell } = darkroom;
  const MANY = 60000; // milliseconds for many pictures at once
  const LONGEST_LIST = 14000; // of an address
  const MOST_AT_ONCE = 20000; // pictures that the server takes in one question
  let offered = []; // the messages that offer to undo
  const words = () => darkroom.words.picture;
  const failed = (problem) => darkroom.toast(problem.words || words().failed);

  function get(id, list = {}) {
    const query = new URLSearchParams({ lang: language, ...list });
    return ask(`/api/pictures/${id}?${query}`);
  }

  const ONE = {
    star: ["PUT", "/star"], unstar: ["DELETE", "/star"], trash: ["DELETE", ""], restore: ["POST", "/restore"], purge: ["POST", "/purge"],
  };

  // Tells "changed" with what happened (star, trash, restore or purge) and the pictures as they are now, with no more than
  // their numbers if they are gone. How many those are.
  async function change(what, ids) {
    let count = 0;
    let part = [];
    try {
      for (let start = 0; start < ids.length; start += MOST_AT_ONCE) {
        part = ids.slice(start, start + MOST_AT_ONCE);
        const tiles = part.length === 1 ? [await changeOne(what, part[0])] : await changeAll(what, part);
        tell("changed", { kind: what === "unstar" ? "star" : what, tiles });
        count += tiles.length;
        forget(part, tiles);
      }
      if (!count) darkroom.toast(words().gone);
      else if (count < ids.length && what !== "purge") {
        const gone = ids.length - count;
        darkroom.toast(gone === 1 ? words().gone_one : fill(words().gone_some, { count: number(gone) }));
      }
    } catch (problem) {
      if (problem.status === 404) forget(part);
      failed(problem);
    }
    return count;
  }

  // Those that another page has removed for good are nobody's to see.
  function forget(ids, found = []) {
    const here = new Set(found.map(({ id }) => id));
    const gone = ids.filter((id) => !here.has(id));
    if (gone.length) tell("changed", { kind: "purge", tiles: gone.map((id) => ({ id })) });
  }

  async function changeOne(what, id) {
    const [method, path] = ONE[what];
    return (await ask(`/api/pictures/${id}${path}?lang=${language}`, { method })) ?? { id };
  }

  async function changeAll(what, ids) {
    const options = { method: "POST", body: JSON.stringify({ ids }), signal: AbortSignal.timeout(MANY) };
    return (await ask(`/api/selection/${what}?lang=${language}`, options)).pictures;
  }

  // A sentence about one picture, or about several: `trashed` and `trashed_many`.
  const said = (name, count) => (count === 1 ? words()[name] : fill(words()[`${name}_many`], { count: number(count) }));

  function offer(text, ids, undo) {
    const open = { ids: new Set(ids), away: darkroom.toast(text, { label: words().undo, action: undo }) };
    offered.push(open);
  }

  // One, or several of which none has it so far. Only several are worth a word.
  async function star(id, starred) {
    const ids = [id].flat();
    const count = await change(starred ? "star" : "unstar", ids);
    if (count < 2) return;
    const text = fill(starred ? words().starred_many : words().unstarred_many, { count: number(count) });
    darkroom.toast(text, { label: words().undo, action: () => change(starred ? "unstar" : "star", ids) });
  }

  async function trash(id) {
    const ids = [id].flat();
    const count = await change("trash", ids);
    if (count) offer(said("trashed", count), ids, () => change("restore", ids));
    return count > 0;
  }

  async function restore(id) {
    const count = await change("restore", [id].flat());
    if (count) darkroom.toast(said("restored", count));
    return count > 0;
  }

  async function purge(id) {
    const ids = [id].flat();
    const keep = ids.length === 1 ? words().keep : words().keep_many;
    if (!(await darkroom.sure(said("purge_sure", ids.length), words().purge, keep))) return false;
    const count = await change("purge", ids);
    if (count) darkroom.toast(said("purged", count));
    return count > 0;
  }

  // `how` is same, seed or finer. `stay`: the person is looking at pictures, and asks for the tray if they want to.
  async function again(id, how, { stay = false } = {}) {
    try {
      const job = await ask(`/api/pictures/${id}/again?how=${how}&lang=${language}`, { method: "POST" });
      darkroom.memory.write("seed", job.seed);
      darkroom.queue.add([job.id]);
      if (job.differences.length) darkroom.toast(job.differences.join(" "));
      if (stay) darkroom.toast(words().queued, { label: darkroom.words.watch.follow, action: () => tell("live") });
      else tell("live");
    } catch (problem) {
      failed(problem);
    }
  }

  // The stored file's own bytes, its text chunks included, as far as the browser lets them through.
  async function copy(picture) {
    if (!picture.file_is_whole) return darkroom.toast(words().damaged);
    if (!window.isSecureContext || !navigator.clipboard?.write || !window.ClipboardItem) {
      darkroom.toast(words().copy_forbidden);
      return;
    }
    try {
      const bytes = fetch(picture.picture).then((answer) => answer.blob());
      await navigator.clipboard.write([new ClipboardItem({ "image/png": bytes })]);
      darkroom.toast(words().copied);
    } catch {
      darkroom.toast((await trouble(picture)) || words().copy_failed);
    }
  }

  // Why a stored file cannot be shown; nothing if it can. Of one that was cut off browsers show what there is, so the
  // server's word counts.
  async function trouble({ picture: address, file_is_whole: isWhole }) {
    if (!isWhole) return words().damaged;
    let bytes;
    try {
      bytes = await (await fetch(address)).blob();
    } catch {
      return words().failed;
    }
    return createImageBitmap(bytes).then(() => "", () => words().damaged);
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

  // The stored files, several as one .zip: 3, 4, 5, 9 is asked for as "3-5,9".
  function download(ids) {
    const spans = [];
    for (const id of [...ids].sort((a, b) => a - b)) {
      if (spans.at(-1)?.[1] === id - 1) spans.at(-1)[1] = id;
      else spans.push([id, id]);
    }
    const list = spans.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
    const href = ids.length === 1 ? `/pictures/${list}` : `/pictures.zip?ids=${list}`;
    if (list.length > LONGEST_LIST) darkroom.toast(words().too_many);
    else darkroom.make("a", { href, download: "" }).click();
  }

  function withdraw() {
    for (const { away } of offered) away();
    offered = [];
  }

  // Nothing is offered to be undone that has been undone, or cannot be any more.
  darkroom.on("changed", ({ kind, tiles }) => {
    if (kind !== "restore" && kind !== "purge") return;
    offered = offered.filter(({ ids, away }) => {
      for (const { id } of tiles) ids.delete(id);
      if (!ids.size) away();
      return ids.size;
    });
  });

  const link = (id) => new URL(`/?picture=${id}`, location.href).href;

  return { get, star, trash, restore, purge, again, copy, copyText, download, link, trouble, forget, withdraw };
})();
