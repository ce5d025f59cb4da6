// Writes rooms_msgpack_vectors.inc: values as notepack.io 3 (the adapters') and 2 (the msgpack parser's) encode them.
// Run with: node rooms_msgpack_vectors.mjs path/to/notepack.io@3 path/to/notepack.io@2
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(import.meta.url);
const notepacks = process.argv.slice(2, 4).map((path) => require(resolve(path)));

let seed = 20240613;
const random = (n) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
};
const pick = (list) => list[random(list.length)];

const integers = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
  2 ** 53 - 1, -1, -0x20, -0x21, -0x80, -0x81, -0x8000, -0x8001, -0x80000000, -0x80000001, 1 - 2 ** 53];
// Not above 2^64, which notepack spoils.
const reals = [0.5, -0.5, 0.1, 1 / 3, 1e-7, 5e-324, 123456.789, 2.5e-10, -1e-300];
const strings = ["", "a", "é", "€", "😀", "\"\\/\b\f\n\r\t\u0000\u001f\u007f", "\u2028", "x".repeat(31), "x".repeat(32),
  "y".repeat(255), "y".repeat(256)];
const binaries = [Buffer.alloc(0), Buffer.from([1, 2, 3]), Buffer.alloc(255, 7), Buffer.alloc(256, 8)];
const dates = [0, 1, 999, -1, 1500000000000, 1500000000123, 2 ** 34 * 1000 + 5, -62167219200000, -62167219200001,
  253402300799999, 253402300800000, 8.64e15, -8.64e15, 951782400000, 951868799999].map((ms) => new Date(ms));

function value(depth) {
  const kind = random(depth > 3 ? 6 : 9);
  if (kind === 0) return pick(integers);
  if (kind === 1) return pick(reals);
  if (kind === 2 || kind === 3) return pick(strings);
  if (kind === 4) return pick(binaries);
  if (kind === 5) return pick([true, false, null]);
  const items = Array.from({ length: pick([0, 1, 2, 3, 15, 16]) >> (depth > 1 ? 2 : 0) }, () => value(depth + 1));
  if (kind < 8) return items;
  return Object.fromEntries(items.map((item) => [pick(strings) + random(100), item]));
}

// What the JSON form of a value is, its attachments beside it.
function toJson(any) {
  const attachments = [];
  const named = (v) => {
    const bytes = Buffer.isBuffer(v) ? v : v instanceof ArrayBuffer ? Buffer.from(v) : null;
    if (bytes) return { _placeholder: true, num: attachments.push(bytes) - 1 };
    if (Array.isArray(v)) return v.map(named);
    if (v && typeof v === "object" && !(v instanceof Date))
      return Object.fromEntries(Object.entries(v).map(([key, item]) => [key, named(item)]));
    return v;
  };
  return { json: JSON.stringify(named(any)), attachments: Buffer.concat(attachments), count: attachments.length };
}

const octal = (bytes) => [...bytes].map((c) =>
  c >= 0x20 && c < 0x7f && !`"\\?`.includes(String.fromCharCode(c)) ? String.fromCharCode(c) : `\\${c.toString(8).padStart(3, "0")}`).join("");
const lines = new Set();
// back: encoding the JSON gives these bytes again.
function add(notepack, v, back) {
  const bytes = notepack.encode(v);
  if (bytes.length > 1500) return;
  const { json, attachments, count } = toJson(v);
  const text = Buffer.from(json);
  lines.add(`{${back}, ${bytes.length}, "${octal(bytes)}", ${text.length}, "${octal(text)}", ${count}, ${attachments.length}, "${octal(attachments)}"},`);
}

const long = (n) => Array.from({ length: n }, (_, i) => i % 3);
for (const v of [...integers, ...reals, ...strings, ...binaries, long(15), long(16), long(300),
  Object.fromEntries(long(15).map((v, i) => [`k${i}`, v])), Object.fromEntries(long(16).map((v, i) => [`k${i}`, v]))])
  for (const notepack of notepacks) add(notepack, v, true);
for (const date of dates) for (const notepack of notepacks) add(notepack, date, false);
for (let i = 0; i < 120; i++) add(pick(notepacks), value(0), true);
for (const v of [[undefined, 1], { a: undefined, b: 1 }, { a: 1, b: undefined }, { b: undefined }, [{ a: undefined }, 2],
  { a: undefined, b: undefined, c: [undefined], d: 1 }]) for (const notepack of notepacks) add(notepack, v, false);
for (const n of [0, 1, 8, 255, 256]) for (const notepack of notepacks) add(notepack, ["x", new ArrayBuffer(n)], false);
for (const v of [[NaN, Infinity, -Infinity]]) for (const notepack of notepacks) add(notepack, v, false);
writeFileSync(new URL("rooms_msgpack_vectors.inc", import.meta.url),
  `/* Written by rooms_msgpack_vectors.mjs: encodes to it, msgpack, JSON, attachments and their bytes in a row. */\n${[...lines].join("\n")}\n`);
