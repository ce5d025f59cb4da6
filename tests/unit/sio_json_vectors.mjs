// Writes sio_json_vectors.inc: texts and whether JSON.parse accepts them. Run with: node sio_json_vectors.mjs
import { writeFileSync } from "node:fs";

let seed = 20240611;
const random = (n) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
};
const pick = (list) => list[random(list.length)];

const strings = ['""', '"a"', '"\\n"', '"\\u00e4"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\/"', '"é"', '"😀"', '"\\\\"', '"\\""'];
const numbers = ["0", "-0", "1", "-12", "0.5", "1e9", "1E+2", "-1.5e-3", "1e999", "12345678901234567890"];
const spaces = ["", "", "", " ", "\n", "\t\r "];

function value(depth) {
  const kind = random(depth > 3 ? 5 : 8);
  const s = () => pick(spaces);
  if (kind < 2) return pick(strings);
  if (kind < 4) return pick(numbers);
  if (kind === 4) return pick(["true", "false", "null"]);
  const items = Array.from({ length: random(3) }, () => value(depth + 1));
  if (kind < 7) return `[${s()}${items.join(`${s()},${s()}`)}${s()}]`;
  return `{${s()}${items.map((item) => `${pick(strings)}${s()}:${s()}${item}`).join(`${s()},${s()}`)}${s()}}`;
}

function mutate(text) {
  const chars = [...text];
  const at = random(chars.length + 1);
  const noise = [...'{}[]",:\\ \n\t\r0123456789-+.eEutfnaslr/\u0000\u0001\u001f\u007f\u00a0\u2028\ufeff\f\v\b'];
  const kind = random(4);
  if (kind === 0) chars.splice(at, 1);
  else if (kind === 1) chars.splice(at, 0, pick(noise));
  else if (kind === 2) chars.splice(at, 1, pick(noise));
  else chars.length = at;
  return chars.join("");
}

const texts = new Set();
while (texts.size < 640) {
  let text = pick(spaces) + value(0) + pick(spaces);
  for (let i = random(3); i > 0; i--) text = mutate(text);
  if (Buffer.byteLength(text) <= 64 && text.isWellFormed()) texts.add(text);
}

const accepted = (text) => {
  try {
    JSON.parse(text);
    return 1;
  } catch {
    return 0;
  }
};
const octal = (byte) => "\\" + byte.toString(8).padStart(3, "0");
const quote = (text) =>
  [...Buffer.from(text)]
    .map((b) => (b >= 0x20 && b < 0x7f && !'"\\?'.includes(String.fromCharCode(b)) ? String.fromCharCode(b) : octal(b)))
    .join("");

const lines = [...texts].map((text) => `{${accepted(text)}, ${Buffer.byteLength(text)}, "${quote(text)}"},`);
writeFileSync(
  new URL("sio_json_vectors.inc", import.meta.url),
  `/* Written by sio_json_vectors.mjs: whether JSON.parse accepts it, bytes, text. */\n${lines.join("\n")}\n`,
);
