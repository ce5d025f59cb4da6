// Bytes of a transcript into text: the encodings that exporters use, recognised by their marks.

const hasMark = (bytes, ...mark) => mark.every((byte, i) => bytes[i] === byte);

/** The encoding that the first bytes show, or null. A transcript begins with ASCII, so zero bytes mean UTF-16 or UTF-32. */
function markedEncoding(bytes) {
  if (bytes.length >= 4 && bytes.length % 4 === 0) {
    if (hasMark(bytes, 0xff, 0xfe, 0, 0) || (bytes[0] && hasMark(bytes.subarray(1), 0, 0, 0))) return "utf-32le";
    if (hasMark(bytes, 0, 0, 0xfe, 0xff) || (bytes[3] && hasMark(bytes, 0, 0, 0))) return "utf-32be";
  }
  if (hasMark(bytes, 0xff, 0xfe) || (bytes[0] && bytes[1] === 0 && bytes.length % 2 === 0)) return "utf-16le";
  if (hasMark(bytes, 0xfe, 0xff) || (bytes[0] === 0 && bytes[1] && bytes.length % 2 === 0)) return "utf-16be";
  return hasMark(bytes, 0xef, 0xbb, 0xbf) ? "utf-8" : null;
}

// Where Windows-1252 differs from Latin-1. Some versions of Node decode the one as the other.
const FROM_80 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

function decodeWindows1252(bytes) {
  return Buffer.from(bytes).toString("latin1").replace(/[\x80-\x9f]/g, (character) => FROM_80[character.charCodeAt(0) - 0x80]);
}

/** Numbers that are no character become U+FFFD. */
function decodeUtf32(bytes, littleEndian) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts = [];
  for (let at = view.getUint32(0, littleEndian) === 0xfeff ? 4 : 0; at < bytes.length; at += 4) {
    const code = view.getUint32(at, littleEndian);
    parts.push(code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code));
  }
  return parts.join("");
}

/**
 * UTF-8, UTF-16 and UTF-32 (by their marks or their zero bytes), otherwise Windows-1252, of which Latin-1 is a part. Never throws.
 * @param {Uint8Array} bytes
 * @returns {{text: string, encoding: string}} text without a byte order mark
 */
export function decodeText(bytes) {
  const marked = markedEncoding(bytes);
  if (marked?.startsWith("utf-32")) return { text: decodeUtf32(bytes, marked === "utf-32le"), encoding: marked };
  if (marked) return { text: new TextDecoder(marked).decode(bytes), encoding: marked };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), encoding: "utf-8" };
  } catch {
    return { text: decodeWindows1252(bytes), encoding: "windows-1252" };
  }
}
