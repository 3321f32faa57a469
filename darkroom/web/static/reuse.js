// Parameters back into the form: of a picture of ours by its number or by the link /?picture=…, or of a file that a person
// drops or chooses; a model by the link /?model=…. The server reads and checks them.
(() => {
  const { ask, form, on, tell } = darkroom;
  let newest = 0;

  // Answers whether anything went in. `{id, what}` or `{values, origin, what}`; `what` is all, all_but_seed, prompt, seed, size or model.
  darkroom.reuse = async (asked) => {
    const mine = (newest += 1);
    tell("reused");
    darkroom.views.show("create");
    window.scrollTo({ top: 0, behavior: "smooth" });
    try {
      const body = JSON.stringify({ ...asked, form_model: form.read().model });
      const { values, said, title, lines } = await ask(`/api/reuse?lang=${darkroom.language}`, { method: "POST", body });
      if (mine !== newest) return false;
      form.fill(values);
      darkroom.order.refuse(title, lines);
      if (said) darkroom.toast(said);
      return true;
    } catch (problem) {
      if (mine === newest) darkroom.order.refuse(problem.words || undefined);
      return false;
    }
  };

  const linked = new URLSearchParams(location.search);
  const [picture, model] = [Number(linked.get("picture")), linked.get("model")];
  const isPicture = Number.isInteger(picture) && picture > 0;
  if (isPicture || model) {
    // Once only: a reload shows what was typed since.
    window.history.replaceState(null, "", location.pathname + location.hash);
    on("restored", async () => {
      if (!isPicture) return darkroom.models.use(model);
      if (await darkroom.reuse({ id: picture, what: "all" })) tell("choose", { id: picture });
    });
  }

  on("restored", () => (darkroom.reading = darkroom.readingOf()));
})();
