// Asking for pictures: the button, Ctrl+Enter, and what is said when they are not started.
// Tells "asked" at once, then "ordered" with {jobs, seed}, or "refused". Must not know: how pictures are watched.
darkroom.order = (() => {
  const { ask, language, tell } = darkroom;
  let asking = false;
  // An order that nobody has answered may have arrived. Asked for again, it is the same one.
  let unanswered = { body: "", key: "" };

  async function order(changes = {}) {
    if (asking) return;
    asking = true;
    const values = { ...darkroom.form.read(), ...changes };
    tell("asked", values);
    mark(true);
    try {
      const body = JSON.stringify(values);
      const key = unanswered.body === body ? unanswered.key : crypto.getRandomValues(new Uint32Array(4)).join("-");
      unanswered = { body, key };
      const jobs = await ask(`/api/jobs?lang=${language}`, { method: "POST", body, headers: { "Idempotency-Key": key } });
      unanswered = { body: "", key: "" };
      refuse("", []);
      darkroom.memory.write("seed", jobs.seed);
      darkroom.queue.add(jobs.jobs);
      tell("ordered", jobs);
    } catch (problem) {
      const lines = problem.problems?.map((each) => each.words) ?? [problem.words].filter(Boolean);
      if (problem.status >= 400 && problem.status < 500) unanswered = { body: "", key: "" };
      if (problem.status) refuse(words.refused, lines);
      else refuse();
      tell("refused", { problems: problem.problems });
    } finally {
      asking = false;
      mark(false);
    }
  }

  const mark = (isAsking) => document.querySelector("#generate")?.toggleAttribute("data-asking", isAsking);

  let words = {};
  let box = null;

  // Without a title there is nothing to say. Of a problem that came without words: nobody has answered.
  function refuse(title = words.no_answer, lines = []) {
    if (!box) return;
    box.querySelector("strong").textContent = title;
    box.querySelector("ul").replaceChildren(...lines.map((line) => darkroom.make("li", {}, line)));
    box.hidden = !title;
    if (title) box.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  // Where it is said.
  darkroom.refusal = (element, props) => {
    words = props.words;
    box = element.querySelector(".refusal");
    darkroom.on("restored", () => document.querySelector("#generate")?.setAttribute("title", words.generate_hint));
  };

  // Nothing has the focus, and the form is what is seen.
  const isNowhere = (target) => target === document.body && document.documentElement.dataset.view === "create" && !document.querySelector(":popover-open");

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

  return Object.assign(order, { refuse });
})();
