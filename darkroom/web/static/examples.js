// Four prompts for a page that has made nothing yet: one click fills the form and asks for the picture.
darkroom.examples = (element, props) => {
  const { form, make } = darkroom;
  const { words, prompts } = props;
  darkroom.on("recent", ({ newest }) => newest === null && element.querySelector(".examples").setAttribute("data-ready", ""));
  element.querySelector("h2").textContent = words.title;
  element.querySelector("p").textContent = words.about;
  element.querySelector(".cards").append(
    ...prompts.map((prompt) => {
      const card = make("button", { type: "button" }, prompt);
      card.addEventListener("click", () => {
        darkroom.tell("reused"); // what was typed so far is found among the earlier prompts
        form.set("prompt", prompt);
        darkroom.order();
      });
      return card;
    }),
  );
};
