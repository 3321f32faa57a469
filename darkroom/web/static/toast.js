// A word at the lower edge that goes away by itself, perhaps with one thing to do about it; and a question with two answers.
darkroom.toast = (() => {
  const SECONDS = 7;
  const stack = darkroom.make("div", { className: "toasts", role: "status" });

  // What lies outside of an open dialog cannot be seen or pressed, so the words go where the person is.
  function settle() {
    const open = [...document.querySelectorAll("dialog[open]")].at(-1);
    const place = open ?? darkroom.home();
    if (stack.parentElement !== place) place.append(stack);
  }
  document.addEventListener("close", settle, true);

  return (text, { label = "", action = null } = {}) => {
    const { make, icon, words } = darkroom;
    settle();
    const line = make("div", { className: "toast" }, make("span", {}, text));
    let timer = 0;
    const leave = () => {
      clearTimeout(timer);
      line.remove();
    };
    const count = () => {
      clearTimeout(timer);
      timer = setTimeout(leave, SECONDS * 1000);
    };
    if (action) {
      const button = make("button", { type: "button", className: "do", textContent: label });
      button.addEventListener("click", () => {
        leave();
        action();
      });
      line.append(button);
    }
    const close = make("button", { type: "button", className: "close", "aria-label": words.picture.dismiss }, icon("close"));
    close.addEventListener("click", leave);
    line.append(close);
    // Whoever is reading or about to press has all the time they need.
    for (const event of ["pointerenter", "focusin"]) line.addEventListener(event, () => clearTimeout(timer));
    for (const event of ["pointerleave", "focusout"]) line.addEventListener(event, count);
    while (stack.children.length > 2) stack.firstElementChild.remove();
    stack.append(line);
    count();
    return leave;
  };
})();

darkroom.sure = (question, yes, no) => {
  const { make } = darkroom;
  return new Promise((answer) => {
    const dialog = make("dialog", { className: "sure", "aria-label": question });
    const agree = make("button", { type: "button", className: "yes", textContent: yes });
    const decline = make("button", { type: "button", className: "no", textContent: no });
    dialog.append(make("p", {}, question), make("div", { className: "answers" }, decline, agree));
    agree.addEventListener("click", () => dialog.close("yes"));
    decline.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    darkroom.home().append(dialog);
    dialog.showModal();
    darkroom.layers.add(dialog);
    decline.focus();
  });
};
