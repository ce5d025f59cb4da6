// Bytes of a transcript into text: the encodings that exporters use, recognised by their marks.

const hasMark = (bytes, ...mark) => mark.every((byte, i) => bytes[i] === byte);

/** The encoding that the first bytes show, or null. A transcript begins with ASCII, so a zero byte means UTF-16. */
function markedEncoding(bytes) {
  if (hasMark(bytes, 0xff, 0xfe) || (bytes[0] && bytes[1] === 0 && bytes.length % 2 === 0)) return "utf-16le";
  if (hasMark(bytes, 0xfe, 0xff) || (bytes[0] === 0 && bytes[1] && bytes.length % 2 === 0)) return "utf-16be";
  return hasMark(bytes, 0xef, 0xbb, 0xbf) ? "utf-8" : null;
}

// Where Windows-1252 differs from Latin-1. Some versions of Node decode the one as the other.
const FROM_80 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

function decodeWindows1252(bytes) {
  return Buffer.from(bytes).toString("latin1").replace(/[\x80-\x9f]/g, (character) => FROM_80[character.charCodeAt(0) - 0x80]);
}

/**
 * UTF-8, UTF-16 (by its mark or its zero bytes), otherwise Windows-1252, of which Latin-1 is a part. Never throws.
 * @param {Uint8Array} bytes
 * @returns {{text: string, encoding: string}} text without a byte order mark
 */
export function decodeText(bytes) {
  const marked = markedEncoding(bytes);
  if (marked) return { text: new TextDecoder(marked).decode(bytes), encoding: marked };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), encoding: "utf-8" };
  } catch {
    return { text: decodeWindows1252(bytes), encoding: "windows-1252" };
  }
}
