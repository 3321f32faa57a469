// Takes LoRAs out of the prompt's field, where the server has found them. The caret stays where it is among the words, and the
// browser's own Undo brings the text back.
darkroom.loraTags = (() => {
  const { form } = darkroom;
  let composing = false;
  document.addEventListener("compositionstart", () => (composing = true), true);
  document.addEventListener("compositionend", () => (composing = false), true);

  // `cuts` are {start, end, text}, in order.
  function cut(cuts) {
    const field = form.input("prompt");
    const text = form.read().prompt;
    const after = [...cuts].reverse().reduce((rest, { start, end, text: joint }) => rest.slice(0, start) + joint + rest.slice(end), text);
    if (!field || document.activeElement !== field) return form.set("prompt", after);
    const moved = (place) =>
      cuts.reduce((at, { start, end, text: joint }) => (place >= end ? at - (end - start) + joint.length : place > start ? at - (place - start) : at), place);
    const [from, to] = [moved(field.selectionStart), moved(field.selectionEnd)];
    for (const { start, end, text: joint } of [...cuts].reverse()) {
      field.setSelectionRange(start, end);
      if (!document.execCommand(joint ? "insertText" : "delete", false, joint)) break;
    }
    if (field.value !== after) form.set("prompt", after);
    field.setSelectionRange(from, to);
  }

  return { cut, isComposing: () => composing };
})();
