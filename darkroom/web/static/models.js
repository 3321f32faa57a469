// Another model has other sizes, steps and guidance. What was a named shape or preset stays the one of that name; whoever
// comes back to a model finds its figures as they were. Whatever happened is said under the choice.
darkroom.models = (element, props) => {
  const { form, on, fill, tell } = darkroom;
  const { table, words } = props;
  const line = element.querySelector(".hint");
  const FIGURES = ["width", "height", "steps", "guidance", "step_cache", "prompt_tokens"];
  const left = {}; // the figures each model had when another was chosen
  let note = "";

  const named = (choices, figures) =>
    Object.keys(choices).find((name) => Object.entries(choices[name]).every(([field, value]) => Number(figures[field]) === value));

  function sizeOf(model, figures, shape) {
    if (model.shapes[shape]) return model.shapes[shape];
    const { width, height } = figures;
    if ([width, height].every((side) => side >= model.smallest && side <= model.largest)) return { width, height };
    const unlike = (one) => Math.abs(Math.log(one.width / one.height) - Math.log(width / height));
    const nearest = Object.values(model.shapes).sort((a, b) => unlike(a) - unlike(b))[0];
    return width > 0 && height > 0 ? nearest : model.start;
  }

  darkroom.models.choose = (name) => {
    const before = form.read();
    const [old, next] = [table[before.model], table[name]];
    if (!next || name === before.model) return [];
    left[before.model] = Object.fromEntries(FIGURES.map((field) => [field, before[field]]));
    const size = sizeOf(next, before, old && named(old.shapes, before));
    const fineness = next.presets[old && named(old.presets, before)] ?? next.start;
    const figures = left[name] ?? { ...next.start, ...fineness, width: size.width, height: size.height };
    note = fill(left[name] ? words.as_left : words.follows, figures);
    form.set("model", name);
    for (const field of FIGURES) form.set(field, figures[field]);
    if (figures.width > 0 && figures.height > 0) tell("shape", figures);
    return [];
  };

  on("form", ({ model }) => {
    line.textContent = [table[model]?.about, note].filter(Boolean).join(" · ");
    // A model that was made to do without it has no use for its handle.
    document.querySelector(".figure:has(#guidance)")?.classList.toggle("unused", table[model]?.guidance === false);
  });
  on("reused", () => (note = ""));
};
