// Socket.IO packets by hand over one Engine.IO WebSocket: message() gives "42[…]" without Engine.IO's "4"
// as text and attachments as Buffer.
import assert from "node:assert/strict";
import { openWebSocket } from "./wire.mjs";

export class SioWire {
  constructor(socket) { this.socket = socket; }

  // Sends Socket.IO packets as text, attachments as Buffer.
  send(...packets) {
    for (const packet of packets) this.socket.send(Buffer.isBuffer(packet) ? packet : `4${packet}`);
    return this;
  }

  async next(what, ms) {
    const data = await this.socket.message(what, ms);
    if (Buffer.isBuffer(data)) return data;
    assert.equal(data[0], "4", `an Engine.IO packet that is no message: ${data}`);
    return data.slice(1);
  }

  async expect(...packets) {
    for (const packet of packets) assert.deepEqual(await this.next(`packet ${packet}`), packet);
    return this;
  }

  // Joins a namespace and returns the CONNECT answer's payload.
  async connect(nsp = "/", payload = "") {
    const prefix = nsp === "/" ? "" : `${nsp},`;
    this.send(`0${prefix}${payload}`);
    const answer = await this.next(`CONNECT of ${nsp}`);
    assert.ok(answer.startsWith(`0${prefix}{`), `CONNECT answer: ${answer}`);
    return JSON.parse(answer.slice(1 + prefix.length));
  }

  closed(what) { return this.socket.assertClosed(what); }
  assertSilent() { return this.socket.assertSilent(); }
  close() { return this.socket.close(); }
}

export async function openWire(server, query) {
  return new SioWire(await openWebSocket(server, "/socket.io/", query));
}

// Connected to `/` of the profile sio-proto, the greeting "auth" taken.
export async function connectedWire(server) {
  const wire = await openWire(server);
  await wire.connect();
  await wire.expect('2["auth",{}]');
  return wire;
}
