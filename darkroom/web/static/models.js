// Another model has other sizes, steps and guidance. What was a named shape or preset stays the one of that name; whoever
// comes back to a model finds its figures as they were. Whatever happened is said under the choice.
darkroom.models = (() => {
  const { form, on, fill } = darkroom;
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
    const figuresBefore = FIGURES.map((field) => [field, before[field]]);
    if (figuresBefore.every(([, figure]) => figure !== null)) left[before.model] = Object.fromEntries(figuresBefore);
    const size = sizeOf(next, before, old && named(old.shapes, before));
    const fineness = next.presets[old && named(old.presets, before)] ?? next.start;
    const figures = left[name] ?? { ...next.start, ...fineness, width: size.width, height: size.height };
    note = fill(left[name] ? words.as_left : words.follows, figures);
    return figures;
  }

  // In the form.
  function choose(name) {
    const before = form.read();
    if (table[name] && name !== before.model) form.fill({ model: name, ...turnTo(name, before) });
  }

  // From outside of it. Of a model that this page does not know, the server says whether there is one.
  function use(name) {
    if (!table[name]) return darkroom.reuse({ values: { model: name }, what: "model" });
    darkroom.views.show("create");
    return choose(name);
  }

  function show(element, props) {
    const line = element.querySelector(".hint");
    const choice = element.querySelector("select");
    ({ table, words } = props);
    element.querySelector("label span").textContent = props.label;
    element.querySelector("label").hidden = props.choices.length < 2;
    choice.append(...props.choices.map(([title, name]) => darkroom.make("option", { value: name, textContent: title })));
    choice.addEventListener("change", () => choose(choice.value));
    on("form", ({ model }) => {
      choice.value = model;
      line.textContent = [table[model]?.about, note].filter(Boolean).join(" · ");
      // A model that was made to do without it has no use for its handle.
      document.querySelector(".figure:has(#guidance)")?.classList.toggle("unused", table[model]?.guidance === false);
    });
    on("reused", () => (note = ""));
  }

  return { show, choose, use };
})();
