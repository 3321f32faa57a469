// Fast, Standard, Fine put their figures into the form; other figures are "custom". With true CFG there is no step cache.
darkroom.presets = (element, props) => {
  const { form, on, fill, make } = darkroom;
  const { names, table, words } = props;
  element.querySelector("legend").textContent = words.title;
  const about = (preset) => (preset ? fill(words.about, preset) : words.about_custom);

  const parts = [...names, "custom"].map((name) => {
    const radio = make("input", { type: "radio", name: "preset", value: name });
    const part = make("label", {}, radio, make("span", {}, words[name]));
    radio.addEventListener("change", () => choose(name));
    return part;
  });
  element.querySelector(".row").append(...parts);
  parts.at(-1).hidden = true;
  parts.at(-1).querySelector("input").disabled = true;

  let presets = {};

  const allowed = (preset, { cfg_scale }) => (Number(cfg_scale) === 1 ? preset : { ...preset, step_cache: 0 });

  function choose(name) {
    if (!presets[name]) return;
    for (const [field, value] of Object.entries(allowed(presets[name], form.read()))) form.set(field, value);
  }

  on("form", (values) => {
    presets = table[values.model] ?? {};
    const found = names.find((name) => {
      const figures = presets[name] && Object.entries(allowed(presets[name], values));
      return figures?.every(([field, value]) => value === Number(values[field]));
    });
    for (const part of parts) {
      const radio = part.querySelector("input");
      radio.checked = radio.value === (found ?? "custom");
      part.title = about(presets[radio.value]);
      if (radio.value === "custom") part.hidden = found !== undefined;
      else part.hidden = !presets[radio.value];
    }
  });
};
