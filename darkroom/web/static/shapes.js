// Named shapes as little frames, and the tools beside both sides: swap, and keep the proportions.
darkroom.shapes = (element, props) => {
  const { form, on, make } = darkroom;
  const { table, words } = props;
  const LONGEST = 26;
  element.querySelector("legend").textContent = words.title;
  let drawnFor = null;
  let parts = [];

  function draw(model) {
    drawnFor = model;
    parts = (table[model]?.shapes ?? []).map((shape) => {
      const radio = make("input", { type: "radio", name: "shape", value: shape.name });
      const unit = LONGEST / Math.max(shape.width, shape.height);
      const frame = make("i", { className: "frame", "aria-hidden": "true" });
      frame.style.width = `${Math.round(shape.width * unit)}px`;
      frame.style.height = `${Math.round(shape.height * unit)}px`;
      const part = make("label", {}, radio, make("span", { className: "box" }, frame), make("span", {}, words[shape.name]));
      part.title = `${shape.width} × ${shape.height}`;
      radio.addEventListener("change", () => {
        darkroom.tell("shape", shape);
        form.set("width", shape.width);
        form.set("height", shape.height);
      });
      return { part, radio, shape };
    });
    element.querySelector(".row").replaceChildren(...parts.map(({ part }) => part));
  }

  on("form", ({ model, width, height }) => {
    if (drawnFor !== model) draw(model);
    for (const { radio, shape } of parts) {
      radio.checked = shape.width === Number(width) && shape.height === Number(height);
    }
  });
};

darkroom.size = (element, props) => {
  const { form, on, fill, memory } = darkroom;
  const { table, words } = props;
  const SIDES = ["width", "height"];
  const swap = element.querySelector(".swap");
  const lock = element.querySelector(".lock");
  let ratio = memory.read("ratio", null);
  let problem = "";
  let seen = null; // both sides, as they were last
  let following = false;

  for (const [button, word] of [[swap, words.swap], [lock, words.lock]]) {
    button.title = word;
    button.setAttribute("aria-label", word);
  }

  const sides = () => SIDES.map((side) => Number(form.read()[side]));

  function keep(value) {
    ratio = value;
    memory.write("ratio", ratio);
    lock.setAttribute("aria-pressed", ratio !== null);
  }

  // What follows from the kept proportions leaves them as they are.
  function follow(changes) {
    following = true;
    for (const [side, value] of Object.entries(changes)) form.set(side, value);
    following = false;
  }

  swap.addEventListener("click", () => {
    const [width, height] = sides();
    if (ratio) keep(1 / ratio);
    follow({ width: height, height: width });
  });
  lock.addEventListener("click", () => {
    const [width, height] = sides();
    keep(ratio === null && width > 0 && height > 0 ? width / height : null);
  });
  darkroom.on("shape", (shape) => ratio && keep(shape.width / shape.height));

  // The other side follows what a person typed, to the nearest size that the model can make.
  document.addEventListener("change", (event) => {
    const side = SIDES.find((name) => event.isTrusted && event.target === form.input(name));
    const typed = Number(event.target.value);
    if (!side || !ratio || !(typed > 0)) return;
    const { smallest, largest, step } = table[form.read().model];
    const wanted = side === "width" ? typed / ratio : typed * ratio;
    const other = Math.min(Math.max(Math.round(wanted / step) * step, smallest), largest);
    follow({ [side === "width" ? "height" : "width"]: other });
  });

  // A size that comes from elsewhere, as with a picture's parameters, has the proportions to keep from now on.
  function notice({ width, height }) {
    const now = [Number(width), Number(height)];
    const isNew = seen !== null && now.join() !== seen.join();
    const isTyped = SIDES.some((side) => document.activeElement === form.input(side));
    if (isNew && ratio && !isTyped && !following && now.every((side) => side > 0)) keep(now[0] / now[1]);
    seen = now;
  }

  function tell({ model, width, height }) {
    const line = document.querySelector("#size-said");
    if (!line || !table[model]) return;
    const megapixels = ((Number(width) * Number(height)) / 1e6).toFixed(2);
    line.textContent = problem || fill(words.said, { megapixels, allowed: table[model].allowed });
    line.classList.toggle("wrong", Boolean(problem));
  }

  on("form", notice);
  on("form", tell);
  on("checked", ({ problems }) => {
    problem = SIDES.map((side) => problems[side]).filter(Boolean).join(" ");
    tell(form.read());
  });
  keep(ratio);
};
