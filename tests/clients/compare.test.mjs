// The same bytes to the reference and to ours: the answers are compared byte by byte, but for what HTTP leaves open
// (order and case of headers, Date, keep-alive, chunked or not) and what stands in the lists below.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAlike, essence, exchange } from "./lib/compare.mjs";
import { start } from "./lib/server.mjs";
import { Polling, frame, upgradeRequest } from "./lib/wire.mjs";
import { PATIENCE_MS } from "../support/wait.mjs";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

let servers;
before(async () => {
  const options = { "ping-interval": PATIENCE_MS * 10, "ping-timeout": PATIENCE_MS * 10 };
  servers = {};
  for (const profile of ["eio-proto", "sio-proto", "app"]) {
    servers[profile] = await Promise.all([start(profile, { ...options, reference: 1 }), start(profile, { ...options, name: "parley" })]);
  }
});
after(async () => {
  for (const server of Object.values(servers).flat()) await server.stop();
});

const pathOf = (profile) => (profile === "eio-proto" ? "/engine.io/" : "/socket.io/");

const H = "Host: localhost\r\n";
const ORIGIN = "Origin: https://a.example\r\n";
const PREFLIGHT = `${H}${ORIGIN}Access-Control-Request-Method: POST\r\n`;

// name → request for a path; "@" is the id of a fresh polling session.
function requests(path) {
  const polling = `${path}?EIO=4&transport=polling`;
  const websocket = (query = "", headers = {}) => upgradeRequest(`${path}?EIO=4&transport=websocket${query}`, { "Sec-WebSocket-Key": KEY, ...headers });
  const get = (target, headers = "") => `GET ${target} HTTP/1.1\r\n${H}${headers}\r\n`;
  const post = (body, headers = "") => `POST ${polling}&sid=@ HTTP/1.1\r\n${H}${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
  return {
    "a handshake": get(polling),
    "a handshake of HTTP/1.0": `GET ${polling} HTTP/1.0\r\n\r\n`,
    "a handshake that closes": get(polling, "Connection: close\r\n"),
    "a handshake from another origin": get(polling, ORIGIN),
    "a handshake of Internet Explorer": get(polling, "User-Agent: Mozilla/5.0 (compatible;MSIE 9)\r\n"),
    "a handshake with EIO twice": get(`${path}?EIO=4&EIO=4&transport=polling`),
    "a handshake with an encoded transport": get(`${path}?EIO=4&transport=%70olling`),
    "no transport": get(`${path}?EIO=4`),
    "no query": get(path),
    "no EIO": get(`${path}?transport=polling`),
    "EIO 3": get(`${path}?EIO=3&transport=polling`),
    "an unknown sid": get(`${polling}&sid=nope`),
    "an unknown sid from another origin": get(`${polling}&sid=nope`, ORIGIN),
    "WebSocket without Upgrade": get(`${path}?EIO=4&transport=websocket`),
    "HEAD without a sid": `HEAD ${polling} HTTP/1.1\r\n${H}\r\n`,
    "PUT without a sid": `PUT ${polling} HTTP/1.1\r\n${H}Content-Length: 0\r\n\r\n`,
    "POST without a sid": `POST ${polling} HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\n4a`,
    "POST of a pong": post("3"),
    "POST as text/plain": post("6", "Content-Type: text/plain;charset=UTF-8\r\n"),
    // not here: payloads that cannot be read, 200 there (edge-cases 13)
    "POST from another origin": post("3", ORIGIN),
    "a WebSocket": websocket(),
    "a WebSocket with subprotocols": websocket("", { "Sec-WebSocket-Protocol": "a, b" }),
    "a WebSocket that offers compression": websocket("", { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" }),
    "a WebSocket for a session": websocket("&sid=@"),
    "a WebSocket with an unknown sid": websocket("&sid=nope"),
    "a WebSocket without a transport": upgradeRequest(`${path}?EIO=4`),
  };
}

async function fresh(server, profile, text) {
  if (!text.includes("sid=@")) return text;
  return text.replace("sid=@", `sid=${(await new Polling(server, pathOf(profile)).open()).sid}`);
}

for (const profile of ["eio-proto", "sio-proto", "app"]) {
  describe(profile, () => {
    const all = requests(pathOf(profile));
    if (profile !== "eio-proto") {
      const polling = `${pathOf(profile)}?EIO=4&transport=polling`;
      all["a preflight"] = `OPTIONS ${polling} HTTP/1.1\r\n${PREFLIGHT}Access-Control-Request-Headers: x-a, content-type\r\n\r\n`;
      all["a preflight without headers"] = `OPTIONS ${polling} HTTP/1.1\r\n${PREFLIGHT}\r\n`;
    }
    for (const [name, text] of Object.entries(all)) {
      test(name, () => assertAlike((quietMs) => Promise.all(servers[profile].map(async (server) => {
        const { status, headers, body } = essence(await exchange(server, quietMs, await fresh(server, profile, text)));
        // The 101 has no CORS headers: no browser looks at them there.
        if (status === 101) for (const header of Object.keys(headers)) if (/^access-control|^vary/.test(header)) delete headers[header];
        return { status, headers, body };
      }))));
    }
  });
}

// The same conversation with both; what comes back is compared frame by frame, headers and all, but for ids.
function assertSameFrames(profile, packets) {
  const ids = /"[\w-]{20}"/g;
  const take = (quietMs) => Promise.all(servers[profile].map(async (server) => {
    const upgrade = upgradeRequest("/socket.io/?EIO=4&transport=websocket&extra=a%20b");
    const text = await exchange(server, quietMs, upgrade, frame("40"), ...packets.map((packet) => frame(packet)));
    return text.slice(text.indexOf("\r\n\r\n") + 4).replace(ids, '"…"').replace('"server":"node"', '"server":"parley"');
  }));
  // "server" makes a length differ by two.
  const frameHeader = /\x81[\x00-\x7d]|\x81\x7e[^]{2}/g;
  return assertAlike(take, (mine, theirs) => {
    if (theirs.includes('"server"')) assert.equal(mine.replace(frameHeader, "|"), theirs.replace(frameHeader, "|"));
    else assert.equal(mine, theirs);
  });
}

describe("frames of sio-proto", () => {
  const conversations = {
    "connect": [],
    "an unknown namespace": ["40/nope,"],
    "a namespace and an event": ["40/custom,{\"a\":1}", '42/custom,["message","ü",{"b":[1]}]'],
    "an ack": ['4217["message-with-ack",1,"two"]'],
    "a long event": [`42["message","${"x".repeat(70000)}"]`],
    "disconnect": ["41"],
    "a parse error": ["42{}"],
    "a second connect": ["40"],
    "a placeholder in a plain event": ['42["message",{"_placeholder":true,"num":0}]'],
  };
  for (const [name, packets] of Object.entries(conversations)) test(name, () => assertSameFrames("sio-proto", packets));
});

describe("frames of app", () => {
  const conversations = {
    "whoami": ['420["whoami"]'],
    "echo": ['420["echo",1,{"a":[]}]', '42["echo",null,"ü"]'],
    "push": ['42["push",3,"tick"]'],
    "rooms": ['420["join","a"]', '421["join","b"]', '422["leave","a"]', '423["rooms"]'],
    "data": ['420["set-data",{"a":1}]', '421["set-data",{"b":{"c":"ü"}}]', '422["op",{"op":"fetchSockets"}]'],
    "ask answered": ['420["ask","q",{"x":1}]', '430[{"y":2}]'],
    "ask answered with nothing": ['420["ask","q",null]', "430[]"],
    "op emit": ['420["op",{"op":"emit","ev":"news","args":[1,"two"]}]'],
    "op emitWithAck": ['42["join","r"]'.replace("42", "420"), '421["op",{"op":"emitWithAck","to":"r","ev":"q","args":[5],"timeout":1000}]', '430[{"z":[1]},"second"]'],
    "op emitWithAck in vain": ['420["op",{"op":"emitWithAck","ev":"q","timeout":30}]'],
    "op socketsJoin": ['420["op",{"op":"socketsJoin","rooms":["x","y"]}]', '421["rooms"]', '422["op",{"op":"socketsLeave","rooms":"x"}]', '423["rooms"]'],
    "op serverCount": ['420["op",{"op":"serverCount"}]'],
    "op nonsense": ['420["op",{"op":"nonsense"}]'],
    "op disconnectSockets": ['420["op",{"op":"disconnectSockets"}]'],
    "op disconnectSockets with close": ['420["op",{"op":"disconnectSockets","close":true}]'],
    "bye": ['42["bye"]'],
    "bye true": ['42["bye",true]'],
    "drop-transport": ['42["drop-transport"]'],
    "auth refused": ["40/auth,"],
    "auth accepted": ['40/auth,{"token":"abc"}', '42/auth,7["rooms"]'],
    "a dynamic namespace": ["40/dyn-7,", '42/dyn-7,0["rooms"]'],
    "broadcast to nobody": ['420["broadcast",{"ev":"x"}]'],
  };
  for (const [name, packets] of Object.entries(conversations)) test(name, () => assertSameFrames("app", packets));
});
