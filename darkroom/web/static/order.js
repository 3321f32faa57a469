// Asking for pictures: the button, Ctrl+Enter, and what is said when they are not started.
// Tells "asked" at once, then "ordered" with {jobs, seed}, or "refused". Must not know: how pictures are watched.
darkroom.order = (() => {
  const { ask, language, tell } = darkroom;
  let asking = false;

  async function order(changes = {}) {
    if (asking) return;
    asking = true;
    const values = { ...darkroom.form.read(), ...changes };
    tell("asked", values);
    mark(true);
    try {
      const jobs = await ask(`/api/jobs?lang=${language}`, { method: "POST", body: JSON.stringify(values) });
      refuse("", []);
      darkroom.memory.write("seed", jobs.seed);
      darkroom.queue.add(jobs.jobs);
      tell("ordered", jobs);
    } catch (problem) {
      const lines = problem.problems?.map((each) => each.words) ?? [problem.words].filter(Boolean);
      if (problem.status) refuse(words.refused, lines);
      else refuse(words.no_answer, []);
      tell("refused", { problems: problem.problems });
    } finally {
      asking = false;
      mark(false);
    }
  }

  const mark = (isAsking) => document.querySelector("#generate")?.toggleAttribute("data-asking", isAsking);

  let words = {};
  let box = null;

  function refuse(title, lines) {
    if (!box) return;
    box.querySelector("strong").textContent = title;
    box.querySelector("ul").replaceChildren(...lines.map((line) => darkroom.make("li", {}, line)));
    box.hidden = !title;
    if (title) box.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  // Where it is said. Its value, set from Python, is {title, lines}.
  darkroom.refusal = (element, props, watch) => {
    words = props.words;
    box = element.querySelector(".refusal");
    darkroom.on("restored", () => document.querySelector("#generate")?.setAttribute("title", words.generate_hint));
    watch("value", () => refuse(props.value?.title ?? "", props.value?.lines ?? []));
  };

  const isNowhere = (target) => target === document.body && !document.querySelector(":popover-open");

  // What follows from a number that is being typed, such as the other side of the picture, follows before it is ordered.
  function settle(field) {
    if (field.type !== "number") return;
    field.blur();
    field.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => event.target.closest?.("#generate") && order());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    // Sheets and dialogs have keys of their own.
    const isElsewhere = event.target.closest?.("[popover]") || document.querySelector("dialog[open]");
    if (isElsewhere || !(event.target.closest?.("#controls") || isNowhere(event.target))) return;
    event.preventDefault();
    settle(event.target);
    order();
  });

  return order;
})();
