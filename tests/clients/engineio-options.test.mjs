// Options of Engine.IO beside the reference's (engine.io in this process, with the same options): the answers are the
// same, byte by byte, but for what lib/compare.mjs leaves out. And permessage-deflate with the windows that ws can offer.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import { Server as Reference } from "engine.io";
import { assertAlike, essence, exchange } from "./lib/compare.mjs";
import { start } from "./lib/server.mjs";
import { Socket, upgradeRequest } from "./lib/wire.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
// No ping comes while an answer is waited for.
const PING_MS = PATIENCE_MS * 10;
const TIMES = { "ping-interval": PING_MS, "ping-timeout": PING_MS };
const OPTIONS = {
  "allow-eio3, cookie, cors": [
    { "allow-eio3": 1, cookie: "io", cors: "reflect" },
    { allowEIO3: true, cookie: { name: "io" }, cors: { origin: true } },
  ],
  "initial-packet, cors of one origin": [
    { "allow-eio3": 1, "initial-packet": "hello \"€\"", cors: "https://a.example" },
    { allowEIO3: true, initialPacket: "hello \"€\"", cors: { origin: "https://a.example" } },
  ],
  "no cors, no version 3": [{}, {}],
};

async function startReference(options) {
  const http = createServer((request, response) => response.writeHead(404).end());
  const engine = new Reference({ pingInterval: PING_MS, pingTimeout: PING_MS, ...options });
  engine.attach(http, { path: "/engine.io" });
  engine.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    port: http.address().port,
    http: `http://127.0.0.1:${http.address().port}`,
    stop() { engine.close(); http.close(); http.closeAllConnections(); },
  };
}

// Ids stand in the body, escaped in a script, and in the cookie.
function comparable(text) {
  const { status, headers, body } = essence(text);
  const hide = (value) => value.replace(/(sid\\?":\\?"|io=)[\w-]{20}/g, "$1…");
  for (const name of Object.keys(headers)) headers[name] = hide(headers[name]);
  const inflate = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync }[headers["content-encoding"]];
  return { status, headers, body: inflate ? inflate(Buffer.from(body, "latin1")).toString("latin1") : hide(body) };
}

const H = "Host: localhost\r\n";
const ORIGIN = "Origin: https://a.example\r\n";
const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const V4 = "/engine.io/?EIO=4&transport=polling";
const V3 = "/engine.io/?EIO=3&transport=polling";
const LONG = "4" + "long ".repeat(1000);
const get = (target, headers = "") => `GET ${target} HTTP/1.1\r\n${H}${headers}\r\n`;
const post = (target, body, headers = "") =>
  `POST ${target} HTTP/1.1\r\n${H}${headers}Content-Length: ${Buffer.byteLength(body, "latin1")}\r\n\r\n${body}`;
const preflight = (headers = "") =>
  `OPTIONS ${V4} HTTP/1.1\r\n${H}${ORIGIN}Access-Control-Request-Method: POST\r\n${headers}\r\n`;
const websocket = (eio, headers) =>
  upgradeRequest(`/engine.io/?EIO=${eio}&transport=websocket`, { "Sec-WebSocket-Key": KEY, ...headers });

// name → the handshake's target (null: none is needed), then requests, "@" standing for its id.
const CASES = {
  "a handshake of version 4": [null, get(V4)],
  "a handshake of version 3": [null, get(V3)],
  "a handshake without version": [null, get("/engine.io/?transport=polling")],
  "a handshake of version 3 with b64": [null, get(`${V3}&b64=1`)],
  "a handshake with JSONP": [null, get(`${V4}&j=12abc3`)],
  "a handshake of version 3 with JSONP": [null, get(`${V3}&j=0`)],
  "a handshake from another origin": [null, get(V4, ORIGIN)],
  "a handshake that takes gzip": [null, get(V4, "Accept-Encoding: gzip\r\n")],
  "a path that goes on": [null, get("/engine.io/more?EIO=4&transport=polling")],
  "a path without its slash": [null, get("/engine.io?EIO=4&transport=polling")],
  "a path with more letters": [null, get("/engine.iox/?EIO=4&transport=polling")],
  "an unknown sid with JSONP": [null, get(`${V4}&j=0&sid=nope`, ORIGIN)],
  "an unknown transport from another origin": [null, get("/engine.io/?EIO=4&transport=x", ORIGIN)],
  "a preflight": [null, preflight("Access-Control-Request-Headers: x-a, content-type\r\n")],
  "a preflight without headers": [null, preflight()],
  "POST of version 4": [V4, post(`${V4}&sid=@`, "4hello", ORIGIN)],
  "POST of version 3": [V3, post(`${V3}&sid=@`, "6:4hello", ORIGIN)],
  "POST of version 3 as bytes": [V3, post(`${V3}&sid=@`, "\x01\x03\xff\x04\x01\x02", "Content-Type: application/octet-stream\r\n")],
  "POST of version 4 as bytes": [V4, post(`${V4}&sid=@`, "4hello", "Content-Type: application/octet-stream\r\n")],
  "POST of JSONP": [`${V4}&j=0`, post(`${V4}&j=0&sid=@`, "d=4hello", FORM)],
  "POST of JSONP without the field": [`${V4}&j=0`, post(`${V4}&j=0&sid=@`, "x=4hello", FORM), post(`${V4}&j=0&sid=@`, "d=4a", FORM)],
  "an echo of version 4": [V4, post(`${V4}&sid=@`, "4h\xe2\x82\xac\x1ebAQID"), get(`${V4}&sid=@`, ORIGIN)],
  "an echo of version 3": [V3, post(`${V3}&sid=@`, "3:4h\xe2\x82\xac3:4\xf0\x9f\xa6\x94"), get(`${V3}&sid=@`, ORIGIN)],
  "an echo of bytes in version 3": [V3, post(`${V3}&sid=@`, "2:4x6:b4AP8="), get(`${V3}&sid=@`)],
  "an echo of bytes in version 3 with b64": [`${V3}&b64=1`, post(`${V3}&sid=@`, "2:4x6:b4AP8="), get(`${V3}&sid=@`)],
  "an echo by JSONP": [`${V4}&j=7`, post(`${V4}&j=7&sid=@`, "d=4a%22%5C%5C%5Cnb%E2%80%A8%5Cn%01", FORM), get(`${V4}&j=7&sid=@`)],
  "an echo of version 3 by JSONP": [`${V3}&j=7&b64=1`, post(`${V3}&j=7&sid=@`, "d=2%3A4x6%3Ab4AP8%3D", FORM), get(`${V3}&j=7&sid=@`)],
  "a ping of version 3": [V3, post(`${V3}&sid=@`, "1:2"), get(`${V3}&sid=@`)],
  "a session of another version": [V3, get(`${V4}&sid=@`)],
  ...Object.fromEntries(["gzip", "deflate", "deflate, gzip", "gzip, deflate, br, zstd", "identity", "*", "gzip;q=0"].map((accept) =>
    [`a long poll that accepts ${accept}`, [V4, post(`${V4}&sid=@`, LONG), get(`${V4}&sid=@`, `Accept-Encoding: ${accept}\r\n`)]])),
  "a long script": [`${V4}&j=7`, post(`${V4}&j=7&sid=@`, `d=${LONG}`, FORM), get(`${V4}&j=7&sid=@`, "Accept-Encoding: gzip\r\n")],
  "a poll just below the threshold": [V4, post(`${V4}&sid=@`, "4".padEnd(1023, "a")), get(`${V4}&sid=@`, "Accept-Encoding: gzip\r\n")],
  "a poll at the threshold": [V4, post(`${V4}&sid=@`, "4".padEnd(1024, "a")), get(`${V4}&sid=@`, "Accept-Encoding: gzip\r\n")],
  "a WebSocket of version 4": [null, websocket(4)],
  "a WebSocket of version 3": [null, websocket(3)],
};
// A refusal of version 3 comes after the 101 of the reference, as raw text (edge case 6); ours comes before.
const REFUSED_BEFORE = ["a WebSocket of version 3"];

for (const [name, [mine, theirs]] of Object.entries(OPTIONS)) {
  describe(name, () => {
    let servers;
    before(async () => { servers = await Promise.all([startReference(theirs), start("eio-proto", { ...TIMES, ...mine })]); });
    after(async () => { for (const server of servers) await server.stop(); });

    for (const [what, [handshake, ...steps]] of Object.entries(CASES)) {
      if (!mine["allow-eio3"] && (handshake?.startsWith(V3) || REFUSED_BEFORE.includes(what))) continue;
      test(what, () => assertAlike((quietMs) => Promise.all(servers.map(async (server) => {
        const answers = [];
        const sid = handshake && /sid\\?":\\?"([\w-]{20})/.exec(await exchange(server, quietMs, get(handshake)))[1];
        for (const step of steps) {
          answers.push(comparable(await exchange(server, quietMs, Buffer.from(step.replace("sid=@", `sid=${sid}`), "latin1"))));
        }
        for (const { status, headers } of answers) {
          // The 101 has no CORS headers: no browser looks at them there.
          if (status === 101) for (const header of Object.keys(headers)) if (/^access-control|^vary/.test(header)) delete headers[header];
        }
        // A 404 is the application's, in its own words.
        return answers.map((answer) => (answer.status === 404 ? { status: 404 } : answer));
      }))));
    }
  });
}

describe("permessage-deflate with ws", () => {
  let server;
  before(async () => { server = await start("eio-proto", { ...TIMES, deflate: 1, "allow-eio3": 1 }); });
  after(() => server.stop());

  const offers = { "as ws offers it": true, "no takeover": { serverNoContextTakeover: true, clientNoContextTakeover: true } };
  for (let bits = 9; bits <= 15; bits++) {
    offers[`server window of ${bits}`] = { serverMaxWindowBits: bits };
    offers[`client window of ${bits}`] = { clientMaxWindowBits: bits };
    offers[`both windows of ${bits}`] = { serverMaxWindowBits: bits, clientMaxWindowBits: bits, threshold: 0 };
  }
  for (const [name, perMessageDeflate] of Object.entries(offers)) {
    test(name, async () => {
      const socket = await new Socket(`${server.ws}/engine.io/?EIO=4&transport=websocket`, { perMessageDeflate }).open();
      assert.match(socket.ws.extensions, /permessage-deflate/);
      await socket.next();
      let wire = 0;
      socket.ws._socket.on("data", (chunk) => { wire += chunk.length; });
      const text = Array.from({ length: 20000 }, (_, i) => `line ${i % 977} `).join("");
      const values = ["short", "4".repeat(5000), text, Buffer.from(text), Buffer.alloc(300000), ""];
      let size = 0;
      for (const value of values) {
        socket.send(Buffer.isBuffer(value) ? value : `4${value}`);
        const data = await socket.next(`${value.length} bytes`);
        assert.deepEqual(data, Buffer.isBuffer(value) ? value : `4${value}`);
        size += value.length;
      }
      assert.ok(wire < size / 2, `${wire} bytes for ${size}`);
      socket.close();
    });
  }
});
