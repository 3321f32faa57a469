// The form's memory and its small conveniences. Values are checked by the server when a picture is asked for.
darkroom.form = (() => {
  let restored = false;

  // Gradio passes values in order and without names; they are kept by name, so that a later order finds them.
  function restore(names, values) {
    const kept = darkroom.memory.read("form", {});
    restored = true;
    return names.map((name, place) => kept[name] ?? values[place]);
  }

  function save(names, values) {
    if (restored) darkroom.memory.write("form", Object.fromEntries(names.map((name, place) => [name, values[place]])));
    return [];
  }

  function shapeOf(shapes, width, height) {
    const found = Object.entries(shapes).find(([, size]) => size[0] === width && size[1] === height);
    return found ? found[0] : null;
  }

  function lastSeed(seed) {
    return darkroom.memory.read("seed", seed);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (!event.target.closest?.("#controls")) return;
    event.preventDefault();
    const button = document.querySelector("#generate");
    (button?.matches("button") ? button : button?.querySelector("button"))?.click();
  });

  return { restore, save, shapeOf, lastSeed };
})();
