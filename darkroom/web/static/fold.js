// A line that unfolds a part of the page. Remembered by this browser.
darkroom.fold = (element, props) => {
  const { memory, on } = darkroom;
  const { title, folds } = props;
  const button = element.querySelector("button");
  const name = `open.${folds}`;
  button.querySelector("span").textContent = title;
  button.id = `unfold-${folds}`;
  button.setAttribute("aria-controls", folds);

  function show(isOpen) {
    button.setAttribute("aria-expanded", isOpen);
    document.documentElement.toggleAttribute(`data-open-${folds}`, isOpen);
  }

  button.addEventListener("click", () => {
    const isOpen = button.getAttribute("aria-expanded") === "false";
    memory.write(name, isOpen);
    show(isOpen);
  });
  // What is wrong is not left out of sight.
  on("refused", ({ problems = [] }) => {
    const isInside = ({ field }) => document.getElementById(folds)?.querySelector(`#${CSS.escape(field)}`);
    if (problems.some(isInside)) show(true);
  });
  show(memory.read(name, false));
};
