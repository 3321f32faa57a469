// Where the caret of a text field stands among the lines that are seen, wrapped ones included: a copy of the text is laid
// out beside the page and measured. Must not know: what the field is for.
darkroom.caret = (() => {
  const { make } = darkroom;
  const SAME = ["font", "letterSpacing", "lineHeight", "padding", "textAlign", "direction", "tabSize", "wordSpacing"];

  function wear(copy, field) {
    const style = getComputedStyle(field);
    for (const name of SAME) copy.style[name] = style[name];
    copy.style.width = `${field.clientWidth}px`;
  }

  // {first, last}: whether it is in the first, and in the last line. Neither while something is selected.
  function line(field) {
    const { value, selectionStart: place, selectionEnd: end } = field;
    if (place !== end) return { first: false, last: false };
    const marks = [0, 1, 2].map(() => make("span"));
    const copy = make("div", { className: "text-copy", "aria-hidden": "true" });
    wear(copy, field);
    copy.append(marks[0], value.slice(0, place), marks[1], value.slice(place), marks[2], "\u200b");
    document.body.append(copy);
    const [first, here, last] = marks.map((mark) => mark.getBoundingClientRect().top);
    copy.remove();
    return { first: here === first, last: here === last };
  }

  return { line, wear };
})();
