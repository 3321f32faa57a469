// A handle beside a number. What was typed is left as it is, also where the handle cannot follow.
darkroom.figure = (element, props) => {
  const { form, on, say } = darkroom;
  const { field } = props;
  const handle = element.querySelector("input");
  Object.assign(handle, { min: props.smallest, max: props.reach, step: props.step, title: props.about });
  handle.setAttribute("aria-label", props.label);

  function draw(value) {
    if (document.activeElement !== handle) handle.value = value ?? props.smallest;
    const part = (handle.value - handle.min) / (handle.max - handle.min);
    handle.style.setProperty("--part", `${part * 100}%`);
  }

  handle.addEventListener("input", () => {
    form.set(field, Number(handle.value));
    draw();
  });
  on("form", (values) => draw(values[field]));
  on("checked", ({ problems }) => say(element.querySelector(".wrong"), problems[field] ?? ""));
};
