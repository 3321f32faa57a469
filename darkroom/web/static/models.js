// Another model has other sizes, steps and guidance. What was a named shape or preset stays the one of that name; whoever
// comes back to a model finds its figures as they were. Whatever happened is said under the choice.
darkroom.models = (() => {
  const { form, on, fill, tell } = darkroom;
  const FIGURES = ["width", "height", "steps", "guidance", "step_cache", "prompt_tokens"];
  const left = {}; // the figures each model had when another was chosen
  let table = {}; // empty where there is no choice
  let words = {};
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

  // What this model is asked for after the one before.
  function turnTo(name, before) {
    const [old, next] = [table[before.model], table[name]];
    left[before.model] = Object.fromEntries(FIGURES.map((field) => [field, before[field]]));
    const size = sizeOf(next, before, old && named(old.shapes, before));
    const fineness = next.presets[old && named(old.presets, before)] ?? next.start;
    const figures = left[name] ?? { ...next.start, ...fineness, width: size.width, height: size.height };
    note = fill(left[name] ? words.as_left : words.follows, figures);
    if (figures.width > 0 && figures.height > 0) tell("shape", figures);
    return figures;
  }

  // In the form.
  function choose(name) {
    const before = form.read();
    if (!table[name] || name === before.model) return [];
    const figures = turnTo(name, before);
    form.set("model", name);
    for (const field of FIGURES) form.set(field, figures[field]);
    return [];
  }

  // From outside of it: the server fills the form, and says so if it does not know the model.
  function use(name) {
    const before = form.read();
    if (name === before.model) return darkroom.views.show("create");
    const figures = table[name] ? turnTo(name, before) : {};
    const said = note;
    darkroom.reuse({ values: { model: name, ...figures }, what: "model" });
    note = said;
  }

  function show(element, props) {
    const line = element.querySelector(".hint");
    ({ table, words } = props);
    on("form", ({ model }) => {
      line.textContent = [table[model]?.about, note].filter(Boolean).join(" · ");
      // A model that was made to do without it has no use for its handle.
      document.querySelector(".figure:has(#guidance)")?.classList.toggle("unused", table[model]?.guidance === false);
    });
    on("reused", () => (note = ""));
  }

  return { show, choose, use };
})();
