// LoRA files on their way to the server, each with how far it has come and a button that stops it.
darkroom.loraArrivals = (list, words, { arrived, model }) => {
  const { fill, icon, language, make } = darkroom;
  const ENDING = /\.safetensors$/i;
  // Weights of other formats are not read; the server says why.
  const WEIGHTS = /\.(safetensors|ckpt|pt|pth|bin)$/i;

  const accepts = (file) => WEIGHTS.test(file.name);

  async function readAll(files) {
    for (const file of files) await send(file);
  }

  function send(file) {
    darkroom.views.show("create");
    const bar = make("progress", { max: 1, value: 0, "aria-label": fill(words.adding, { name: file.name }) });
    const stop = make("button", { type: "button", className: "away", title: words.stop, "aria-label": fill(words.stop_one, { name: file.name }) }, icon("close"));
    const row = make("li", { className: "arriving" },
      make("div", { className: "line" }, make("span", { className: "name" }, fill(words.adding, { name: file.name })), stop), bar);
    list.hidden = false;
    list.append(row);
    row.scrollIntoView({ block: "nearest", behavior: "smooth" });
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    return new Promise((done) => {
      const end = (act) => () => {
        row.remove();
        list.hidden = !list.childElementCount;
        act();
        done();
      };
      stop.addEventListener("click", () => request.abort());
      request.upload.addEventListener("progress", (event) => event.lengthComputable && (bar.value = event.loaded / event.total));
      request.upload.addEventListener("load", () => bar.removeAttribute("value")); // being looked at
      request.addEventListener("load", end(() => {
        const answer = request.response ?? {};
        if (request.status === 201) arrived(answer.lora);
        else darkroom.toast(answer.words || words.failed);
      }));
      request.addEventListener("error", end(() => darkroom.toast(words.failed)));
      request.addEventListener("abort", end(() => {}));
      const asked = new URLSearchParams({ name: file.name, model: model() ?? "", lang: language });
      request.open("POST", `/api/loras?${asked}`);
      request.responseType = "json";
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(ENDING.test(file.name) ? file : "");
    });
  }

  return { accepts, read: send, readAll };
};
