// Parameters back into the form: of a picture of ours by its number or by the link /?picture=…, or of a file that a person
// drops or chooses; a model by the link /?model=…. The server reads and checks; `fillIn` hands its answer to the form.
let darkroomFormIsFilled = false; // by what this browser remembers
darkroom.on("form", () => (darkroomFormIsFilled = true));

darkroom.reuseParts = (element, props, watch, fillIn) => {
  const { tell } = darkroom;

  // `{id, what}` or `{values, origin, what}`; `what` is all, all_but_seed, prompt, seed or size.
  darkroom.reuse = (asked) => {
    tell("reused");
    darkroom.views.show("create");
    window.scrollTo({ top: 0, behavior: "smooth" });
    fillIn(asked);
  };

  watch("value", () => {
    if (props.value?.said) darkroom.toast(props.value.said);
  });

  const linked = new URLSearchParams(location.search);
  const [picture, model] = [Number(linked.get("picture")), linked.get("model")];
  const isPicture = Number.isInteger(picture) && picture > 0;
  if (isPicture || model) {
    // Once only: a reload shows what was typed since.
    window.history.replaceState(null, "", location.pathname + location.hash);
    const go = () => {
      if (!isPicture) return darkroom.models.use(model);
      darkroom.reuse({ id: picture, what: "all" });
      tell("choose", { id: picture });
    };
    if (darkroomFormIsFilled) go();
    else window.addEventListener("darkroom:form", () => setTimeout(go), { once: true });
  }

  darkroom.reading = darkroom.readingOf();
};
