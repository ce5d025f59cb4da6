// Every decoder of ours beside the reference's, on the same generated inputs: what the reference takes is taken with
// the same result, what it refuses is refused, but for the decisions named in `ours` and `theirs`. The inputs come
// from a seed (TEST_SEED; TEST_ROUNDS for more of them).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { decodePayload, decodePacket, encodePayload } from "engine.io-parser";
import { Decoder, Encoder } from "socket.io-parser";

const require = createRequire(import.meta.url);
const inside = (name, file) => require(require.resolve(name).replace(new RegExp(`(node_modules/${name}/).*`), `$1${file}`));
const v3 = inside("engine.io", "build/parser-v3/index.js");
const { JSONP } = inside("engine.io", "build/transports/polling-jsonp.js");
const { Polling } = inside("engine.io", "build/transports/polling.js");

const extension = inside("ws", "lib/extension.js");
const PerMessageDeflate = inside("ws", "lib/permessage-deflate.js");

const SEED = Number(process.env.TEST_SEED ?? 1);
const ROUNDS = Number(process.env.TEST_ROUNDS ?? 10000);
const RS = "\x1e";

// ------------------------------------------------------------------ inputs

let state = SEED | 0;
function roll(below) { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const pick = (list) => list[roll(list.length)];
const times = (most, make) => Array.from({ length: roll(most + 1) }, make);
const bytes = (most) => Buffer.from(times(most, () => roll(256)));

// A few edits with characters that mean something to the decoder.
function mutate(text, alphabet) {
  for (let edits = roll(4); edits > 0; edits--) {
    const at = roll(text.length + 1), size = roll(3);
    text = pick([
      () => text.slice(0, at) + pick(alphabet) + text.slice(at),
      () => text.slice(0, at) + text.slice(at + size),
      () => text.slice(0, at) + pick(alphabet) + text.slice(at + 1),
      () => text.slice(0, at),
    ])();
  }
  return text;
}

const lines = (text) => text.replace(/.{76}/g, "$&\n") + "\n"; // as android.util.Base64.DEFAULT
const urlSafe = (text) => text.replace(/\+/g, "-").replace(/\//g, "_");
const loose = () => {
  const text = bytes(120).toString("base64");
  return mutate(pick([text, lines(text), lines(text).replace(/\n/g, "\r\n"), urlSafe(text), text.replace(/=/g, "")]), [..."=A/+-_ \t\r\n!,\0{é", "=="]);
};
const words = () => pick(["", "a", "hello", "é€", "😀", "a\0b", '{"a":1}', "\u2028", "x".repeat(roll(200))]);
const packets4 = () => times(4, () => (roll(3) ? pick([..."0123456"]) + words() : `b${loose()}`));
const packets3 = () => times(4, () => (roll(3) ? pick([..."0123456"]) + words() : `b4${loose()}`));

function binaryPayload3() {
  const parts = times(4, () => {
    const isText = roll(2);
    const packet = isText ? Buffer.from(pick([..."0123456"]) + words()) : Buffer.from([roll(7), ...bytes(40)]);
    return Buffer.concat([Buffer.from([isText ? 0 : 1, ...String(packet.length).split("").map(Number), 255]), packet]);
  });
  const all = Buffer.concat(parts);
  if (all.length && roll(3) === 0) all[roll(all.length)] = roll(256);
  return roll(5) ? all : all.subarray(0, roll(all.length + 1));
}

const query = () => mutate(times(6, () => `${pick(["transport", "EIO", "sid", "j", "b64", "t", "tr%61nsport", "+j", "x"])}=${
  pick(["polling", "websocket", "4", "3", "polling%00x", "%70olling", "a+b", "%zz", "%4", "", "%E2%82%AC", "%ff", encodeURIComponent(words())])}`).join("&"),
[..."&=+%;?/ab0", "%00", "&&", "%26"]);
const form = () => mutate(pick(["d=", "d=", "x=1&d=", "d=1&d=", ""]) + encodeURIComponent(packets4().join(RS).replace(/\n/g, "\\n")), [..."&=+%\\n", "%5Cn", "%5C%5Cn"]);

function socketioPacket() {
  const type = roll(7), isBinary = type === 5 || type === 6;
  const nsp = pick(["/", "/", "/a", "/a/b", "/é"]);
  const data = type === 0 ? pick([undefined, {}, { token: 1 }]) : type === 1 ? undefined : type === 4 ? { message: "no" }
    : [...(type === 2 || type === 5 ? [pick(["a", "message", "connect", 1, "disconnecting"])] : []), ...times(3, () => pick([1, null, "x", [], { b: [true] }, -1.5, "é\\\""]))];
  if (isBinary) data.push(Buffer.from("x"));
  const [text] = new Encoder().encode({ type: type === 5 ? 2 : type === 6 ? 3 : type, nsp, data, id: type > 1 && type !== 4 && roll(2) ? roll(1000) : undefined });
  return mutate(text, [..."0123456789/,-[]{}\"\\ a", '["', "null", "/,", "0-"]);
}

const parameter = () => (roll(8)
  ? pick(["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits", `server_max_window_bits=${8 + roll(8)}`, `client_max_window_bits="${8 + roll(8)}"`])
  : pick(["server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits", "x"]) + pick(["=7", "=16", "=0", "=", "=a", ""]));
function offers() {
  const text = times(3, () => ["permessage-deflate", ...times(2, parameter)].join(pick([";", "; ", " ; "]))).join(pick([",", ", ", ", x-other; y=1, "]));
  return roll(3) ? text : mutate(text, [..."=;, \t\"ab1", "; "]);
}
const key = () => {
  const text = Buffer.from(Array.from({ length: pick([16, 16, 16, 16, 15, 17]) }, () => roll(256))).toString("base64");
  return roll(2) ? text : mutate(text, [..."=A+/-_ "]);
};

// ----------------------------------------------------------- the reference

// Node 20 takes a character above U+00FF for the one of its low byte: no digit of base64 is meant by it.
const from = Buffer.from;
Buffer.from = (data, ...rest) => from(rest[0] === "base64" ? data.replace(/[^\0-\xff]/g, "") : data, ...rest);

const hex = (data) => Buffer.from(data ?? "").toString("hex");
const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
const shown = ({ type, data }) => (type === "error" ? "error" : `${TYPES.indexOf(type)}:${typeof data === "object" ? "b" : "t"}:${hex(data)} `);

function payload3(data) {
  let out = "";
  v3.decodePayload(data, (packet) => { out += shown(packet); });
  return out;
}
// What the JSONP transport hands on.
function formValue(body) {
  let value = "none";
  const onData = Polling.prototype.onData;
  Polling.prototype.onData = (data) => { value = hex(data); };
  try { JSONP.prototype.onData.call({}, body); } finally { Polling.prototype.onData = onData; }
  return value;
}
function queryValues(text) {
  // As engine.io reads it (Server.prepare); a "#" never gets there.
  const url = new URL(`/engine.io/?${text}`, "https://socket.io");
  const values = Object.fromEntries(url.searchParams.entries());
  return ["transport", "EIO", "sid", "j", "b64", "t"].map((name) => `${name}=${name in values ? hex(values[name]) : "none"} `).join("");
}
function socketio(text) {
  const decoder = new Decoder();
  let out;
  try {
    decoder.on("decoded", (packet) => { out = packet; });
    decoder.add(text);
    out ??= decoder.reconstructor?.reconPack;
  } catch { return "error"; }
  return out;
}
// One bad offer spoils the others in ws; RFC 7692, section 7.1, has each declined on its own.
function extensionAnswer(text) {
  let all;
  try { all = extension.parse(text); } catch { return "error"; }
  for (const offer of all["permessage-deflate"] ?? []) {
    try {
      return new PerMessageDeflate({ isServer: true }).accept([offer]);
    } catch { /* the next one */ }
  }
  return null;
}

// ---------------------------------------------------------------- comparing

const program = [process.env.PARLEY_DECODERS, ...["asan", "release"].map((preset) => fileURLToPath(new URL(`../../build/${preset}/tests/parley-decoders`, import.meta.url)))]
  .find((path) => path && existsSync(path));

function decodeAll(kind, inputs) {
  const records = inputs.flatMap((input) => {
    const head = Buffer.alloc(5);
    head.write(kind);
    head.writeUInt32BE(input.length, 1);
    return [head, input];
  });
  assert.ok(program, "parley-decoders is not built");
  const { status, stdout, stderr } = spawnSync(program, { input: Buffer.concat(records), maxBuffer: 1 << 30 });
  assert.equal(status, 0, String(stderr));
  const answers = String(stdout).split("\n");
  assert.equal(answers.length, inputs.length + 1, String(stderr));
  return answers;
}

// `same(answer, input)` says what differs, or nothing. At least a third of the inputs must be good ones: else nothing is compared.
function compare(kind, make, { same, good = (answer) => !answer.includes("error") }) {
  const inputs = Array.from({ length: ROUNDS }, () => Buffer.from(make()));
  const answers = decodeAll(kind, inputs);
  let taken = 0;
  inputs.forEach((input, i) => {
    const why = same(answers[i], input);
    if (why) assert.fail(`seed ${SEED}, input ${i}: ${JSON.stringify(input.toString("latin1"))}\nours:   ${answers[i]}\n${why}`);
    if (good(answers[i])) taken++;
  });
  assert.ok(taken > ROUNDS / 4, `only ${taken} of ${ROUNDS} inputs were good`);
}
const equal = (reference) => (answer, input) => {
  const theirs = reference(input);
  return answer === theirs ? "" : `theirs: ${theirs}`;
};

describe("decoders", () => {
  test("base64 is read as Node reads it", () => {
    compare("b", loose, { same: equal((input) => hex(Buffer.from(input.toString(), "base64"))) });
  });

  test("payloads of Engine.IO 4", () => {
    compare("4", () => mutate(packets4().join(RS), [..."0167b=\n", RS, RS + RS, "b"]) || "4", {
      same: equal((input) => decodePayload(input.toString()).map(shown).join("")),
    });
  });

  test("packets of Engine.IO 4 in a WebSocket's text", () => {
    compare("p", () => mutate(packets4()[0] ?? "", [..."0167b=\n", RS]), { same: equal((input) => shown(decodePacket(input.toString()))) });
  });

  // Ours to refuse: a length that is no digits but a number to JavaScript (" 2", "1e0", "0x2"), half a surrogate pair, and
  // base64 without a packet type, which goes nowhere in the reference.
  function hasOddLengths(text) {
    for (let at = 0, colon; (colon = text.indexOf(":", at)) >= 0;) {
      const length = text.slice(at, colon);
      if (!/^\d{1,10}$/.test(length)) return length !== "" && length == Number(length); // eslint-disable-line eqeqeq
      at = colon + 1 + Number(length);
      if (/[\ud800-\udbff]/.test(text[at - 1]) && at > colon + 1) return true;
    }
    return false;
  }
  test("payloads of Engine.IO 3 as text", () => {
    const make = () => mutate(packets3().map((packet) => `${packet.length}:${packet}`).join(""), [..."0123456:b=\n"]) || "0:";
    compare("3", make, {
      same: (answer, input) => {
        const theirs = payload3(input.toString());
        const odd = answer.endsWith("error") && (/-1:/.test(theirs) || hasOddLengths(input.toString()));
        return answer === theirs || (odd && theirs.startsWith(answer.slice(0, -5))) ? "" : `theirs: ${theirs}`;
      },
    });
  });

  test("payloads of Engine.IO 3 as bytes", () => {
    compare("B", binaryPayload3, {
      same: (answer, input) => {
        if (answer.endsWith("error")) return ""; // lengths beyond the end, types that are none: the reference takes what is there
        const theirs = payload3(input);
        return answer === theirs ? "" : `theirs: ${theirs}`;
      },
    });
  });

  test("packets of Engine.IO 3 in a WebSocket's text", () => {
    compare("t", () => mutate(packets3()[0] ?? "", [..."0167b=\n"]), {
      same: (answer, input) => {
        const theirs = shown(v3.decodePacket(input.toString()));
        return answer === theirs || (answer === "error" && theirs.startsWith("-1:")) ? "" : `theirs: ${theirs}`;
      },
    });
  });

  // What is not UTF-8 stays as it is, where the reference has U+FFFD.
  const readable = (values) => values.replace(/\b([0-9a-f]{2})+\b/g, (value) => JSON.stringify(Buffer.from(value, "hex").toString()));
  test("query strings", () => {
    compare("q", query, { same: (answer, input) => equal((bytes) => readable(queryValues(bytes.toString())))(readable(answer), input) });
  });

  test("forms of JSONP", () => {
    compare("f", form, {
      same: (answer, input) => equal((bytes) => readable(formValue(bytes.toString())))(readable(answer), input),
      good: (answer) => answer !== "none",
    });
  });

  // What is refused is not the reference's alone: docs/compatibility.md. A blank between head and data is a digit of
  // the id there.
  test("Socket.IO packets", () => {
    compare("s", socketioPacket, {
      same: (answer, input) => {
        const theirs = socketio(input.toString());
        if (answer === "error" || /^\d+-?(\/[^,]*,)?\d*\s/.test(input)) return "";
        if (theirs === "error") return "theirs: error";
        const [type, nsp, id, , data] = answer.split(" ");
        const ours = { type: { 5: 2, 6: 3 }[type] ?? Number(type), nsp: Buffer.from(nsp, "hex").toString(), id: id === "none" ? undefined : Number(id), data: data === "none" ? undefined : JSON.parse(Buffer.from(data, "hex").toString()) };
        try {
          assert.deepEqual(ours, { type: theirs.type, nsp: theirs.nsp, id: theirs.id, data: theirs.data });
          return "";
        } catch { return `theirs: ${JSON.stringify(theirs)}`; }
      },
    });
  });

  // Empty elements are passed over (RFC 9110, section 5.6.1); a backslash in quotes makes no window of ours.
  test("offers of permessage-deflate", () => {
    compare("x", offers, {
      good: (answer) => /^[1-9]/.test(answer),
      same: (answer, input) => {
        const text = input.toString().replace(/(^|,)[ \t]*(?=,|$)/g, "").replace(/^[, \t]+|[, \t]+$/g, "");
        const theirs = text ? extensionAnswer(text) : null;
        if (theirs === "error" || answer === "error") return answer === theirs ? "" : `theirs: ${JSON.stringify(theirs)}`;
        const bits = Number(answer.split(" ")[0]);
        if (!theirs) return bits ? "theirs: none" : "";
        return bits === Math.max(9, theirs.server_max_window_bits ?? 15) ? "" : `theirs: ${JSON.stringify(theirs)}`;
      },
    });
  });

  test("keys of a WebSocket", () => {
    compare("k", key, { same: equal((input) => (/^[+/0-9A-Za-z]{22}==$/.test(input.toString()) ? "1" : "0")), good: (answer) => answer === "1" });
  });
});
