// Under the button: how many pictures an order makes before it is sent, whether each line of the prompt is one of its own, and
// prompts out of a text file. Must not know: what the server counts.
darkroom.batch = (element, props) => {
  const { fill, form, memory, number, on, say, toast } = darkroom;
  const { words } = props;
  const LARGEST = 2 ** 20;
  const find = (selector) => element.querySelector(selector);
  const box = find(".lines input");
  const chooser = find("input[type=file]");
  const button = find(".file");

  button.textContent = words.file;
  button.title = words.file_about;
  chooser.setAttribute("aria-label", words.file);

  const linesOf = (text) => String(text ?? "").split(/\r\n|\r|\n/).filter((line) => line.trim()).length;

  function apply(each) {
    box.checked = each;
    memory.write("lines", each);
    form.set("lines", each);
  }

  function show({ prompt, lines }) {
    const count = linesOf(prompt);
    find(".lines").hidden = count < 2;
    find(".lines span").textContent = fill(words.lines, { count: number(count) });
    box.checked = lines === true;
  }

  box.addEventListener("change", () => apply(box.checked));
  on("form", show);
  // A prompt that comes as a whole is one, whatever its lines.
  on("filled", (several) => "prompt" in several && apply(false));
  on("restored", () => memory.read("lines", false) === true && apply(true));
  // One picture is what a click makes anyway. What is wrong with the choice of the model has no place of its own.
  on("checked", ({ pictures, problems }) => {
    const wrong = ["model", "count", "pictures"].map((field) => problems[field]).filter(Boolean).join(" ");
    say(find(".pictures"), wrong || (pictures > 1 ? fill(words.pictures, { count: number(pictures) }) : ""));
    find(".pictures").classList.toggle("wrong", Boolean(wrong));
  });

  async function read(file) {
    if (file.size > LARGEST) return toast(words.too_large);
    const text = (await darkroom.textOf(file))?.trim();
    if (text === undefined) return toast(fill(words.no_text, { file: file.name }));
    if (!text) return toast(fill(words.empty, { file: file.name }));
    darkroom.views.show("create");
    form.write("prompt", text);
    apply(linesOf(text) > 1);
    return toast(fill(words.loaded, { count: number(linesOf(text)), file: file.name }));
  }

  button.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    if (chooser.files[0]) read(chooser.files[0]);
    chooser.value = "";
  });
  // For files that are dropped anywhere on the page.
  darkroom.promptFiles = { accepts: (file) => /\.txt$/i.test(file.name), read };
};
