// The text of a file, as the server reads files of styles: UTF-8 or UTF-16, or what Chinese Windows writes, GB 18030.
// None where it is no text.
darkroom.textOf = async (file) => {
  const content = await file.arrayBuffer();
  const [first, second] = new Uint8Array(content);
  const marked = { "255,254": "utf-16le", "254,255": "utf-16be" }[`${first},${second}`];
  for (const encoding of marked ? [marked] : ["utf-8", "gb18030"]) {
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(content);
    } catch {
      // Not this one.
    }
  }
  return null;
};
