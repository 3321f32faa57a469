// Under the negative prompt: when it counts, said louder while there is one that does not; and what is wrong with it.
darkroom.negative = (element, props) => {
  const { form, on } = darkroom;
  const line = element.querySelector("p");
  let problem = "";

  function tell({ negative_prompt: text, cfg_scale: scale }) {
    line.textContent = problem || props.about;
    line.classList.toggle("wrong", Boolean(problem) || (Boolean(text) && !(Number(scale) > 1)));
  }

  on("form", tell);
  on("checked", ({ problems }) => {
    problem = problems.negative_prompt ?? "";
    tell(form.read());
  });
  line.textContent = props.about;
};
