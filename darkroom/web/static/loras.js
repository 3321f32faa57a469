// The LoRAs in the form: they come with the parameters of a picture, or from a program, and can be taken off.
darkroom.loras = (element, props) => {
  const { fill, form, on } = darkroom;
  const { words } = props;
  const line = element.querySelector("p");
  const button = line.querySelector("button");
  let problem = "";
  button.textContent = words.remove;

  function tell({ loras }) {
    const uses = Array.isArray(loras) ? loras : [];
    line.hidden = !uses.length;
    line.classList.toggle("wrong", Boolean(problem));
    const names = uses.map(({ name, weight }) => `${name} × ${weight}`).join(", ");
    line.querySelector("span").textContent = problem || fill(words.used, { names });
  }

  button.addEventListener("click", () => {
    props.value = [];
    form.set("loras", []);
    form.input("prompt")?.focus();
  });
  on("form", tell);
  on("checked", ({ problems }) => {
    problem = Object.entries(problems).find(([field]) => field.split(".")[0] === "loras")?.[1] ?? "";
    tell(form.read());
  });
};
