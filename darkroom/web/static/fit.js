// Under the button: what the picture of the form will take; where it does not fit, one click makes it one that does.
// Must not know: how that is found.
darkroom.fit = (element) => {
  const { form, on, say } = darkroom;
  const box = element.querySelector(".fit");
  const button = box.querySelector("button");
  let choice = null;

  on("checked", ({ fit }) => {
    choice = fit?.choice ?? null;
    say(box.querySelector("p"), fit?.words ?? "");
    say(button, choice?.words ?? "");
    box.hidden = !fit;
    box.classList.toggle("lacking", fit?.fits === false);
  });

  button.addEventListener("click", () => {
    const { model, ...values } = choice?.values ?? {};
    if (model) darkroom.models.choose(model);
    else form.fill(values);
  });
};
