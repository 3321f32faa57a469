// Fast, Standard, Fine put two figures into the form; other figures are "custom".
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

  function choose(name) {
    for (const [field, value] of Object.entries(presets[name] ?? {})) form.set(field, value);
  }

  on("form", (values) => {
    presets = table[values.model] ?? {};
    const found = names.find((name) => {
      const preset = presets[name];
      return preset && preset.steps === Number(values.steps) && preset.guidance === Number(values.guidance);
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
