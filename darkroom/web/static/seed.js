// The seed's three buttons. "New" and "Keep" say which of both holds now; a typed number is kept.
darkroom.seed = (element, props) => {
  const { form, on, memory } = darkroom;
  const { words, random, largest } = props;
  const buttons = { random: "#random-seed", keep: "#keep-seed", last: "#last-seed" };
  for (const [name, selector] of Object.entries(buttons)) {
    const button = (buttons[name] = element.querySelector(selector));
    button.querySelector("span").textContent = words[name];
    button.title = words[`${name}_about`];
  }
  let problem = "";

  const last = () => memory.read("seed", null);
  const anyone = () => crypto.getRandomValues(new Uint32Array(1))[0] % (largest + 1);

  buttons.random.addEventListener("click", () => form.set("seed", random));
  // One that is there already is kept; nothing, or no seed at all, is not.
  const isSeed = (seed) => Number.isInteger(seed) && seed >= 0 && seed <= largest;

  buttons.keep.addEventListener("click", () => {
    if (!isSeed(form.read().seed)) form.set("seed", last() ?? anyone());
  });
  buttons.last.addEventListener("click", () => last() !== null && form.set("seed", last()));

  function draw({ seed, count }) {
    const isNew = Number(seed) === random && seed !== null;
    buttons.random.setAttribute("aria-pressed", isNew);
    buttons.keep.setAttribute("aria-pressed", !isNew && !problem);
    buttons.last.disabled = last() === null;
    const line = document.querySelector("#seed-said");
    if (!line) return;
    line.textContent = problem || (isNew ? words.new_each : Number(count) > 1 ? words.counted : words.kept);
    line.classList.toggle("wrong", Boolean(problem));
  }

  on("form", draw);
  function take({ seed }) {
    memory.write("seed", seed);
    draw(form.read());
  }

  on("made", ({ tiles }) => take(tiles[0]));
  // A browser that has made nothing yet takes the newest picture there is.
  on("recent", async ({ newest }) => {
    if (newest !== null && last() === null) take((await darkroom.pictures.get(newest)).request);
  });
  on("ordered", () => draw(form.read()));
  on("checked", ({ problems }) => {
    problem = problems.seed ?? "";
    draw(form.read());
  });
};
