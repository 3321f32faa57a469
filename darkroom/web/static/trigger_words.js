// Words that wake a LoRA, in the prompt or, where each line is a prompt, in each of its lines. Must not know: LoRAs, or fields.
darkroom.triggerWords = (() => {
  // These are written with spaces between words; others, such as Chinese, are not.
  const SPACED = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Nd}_]/u;
  const goOn = (before, after) => SPACED.test(before) && SPACED.test(after);

  function isInText(text, word) {
    const [where, what] = [text.toLowerCase(), word.toLowerCase()];
    for (let start = where.indexOf(what); start >= 0; start = where.indexOf(what, start + 1)) {
      const end = start + what.length;
      const isPart = goOn(where.charAt(start - 1), what.charAt(0)) || goOn(what.charAt(what.length - 1), where.charAt(end));
      if (!isPart) return true;
    }
    return false;
  }

  // Empty lines are no prompts.
  function prompts({ prompt, lines }) {
    const text = String(prompt ?? "");
    const written = lines === true ? text.split("\n").filter((line) => line.trim()) : [];
    return written.length > 1 ? written : [text];
  }

  const isIn = (values, word) => prompts(values).every((prompt) => isInText(prompt, word));

  // At the end, as one part more of what the prompt lists.
  function withWord(text, word) {
    if (isInText(text, word)) return text;
    const prompt = text.trimEnd();
    const isChinese = /[\u3000-\u9fff\uff00-\uffef]$/.test(prompt);
    const joint = !prompt ? "" : /[,，.。!！?？;；、:：]$/.test(prompt) ? (isChinese ? "" : " ") : isChinese ? "，" : ", ";
    return prompt + joint + word;
  }

  function put(values, word) {
    const text = String(values.prompt ?? "");
    if (prompts(values).length < 2) return withWord(text, word);
    return text.split("\n").map((line) => (line.trim() ? withWord(line, word) : line)).join("\n");
  }

  return { isIn, put };
})();
