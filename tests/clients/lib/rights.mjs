// A model of who may be sent what of which call, and agents that do at random what agents do; each thing that arrives
// is held against the model as it arrives. What a server does on one connection is in order: so the model changes when
// an answer comes, and nothing is left to time.
import { io } from "socket.io-client";
import { now, sign } from "./tokens.mjs";

// mulberry32
export function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class World {
  /** tellsLate: what is logged for recovery comes when the log has it, and answers do not wait for that. */
  constructor(random, key, calls, agents, tellsLate = false) {
    this.tellsLate = tellsLate;
    this.random = random;
    this.key = key;
    this.faults = [];
    this.delivered = 0;
    this.refusals = 0;
    this.cuts = 0;
    this.left = 0;
    this.votes = 0; // that supervisors were told of
    this.calls = new Map(Array.from({ length: calls }, (_, i) => [`call-${i}`, {
      id: `call-${i}`, agents: Array.from({ length: 12 }, () => `agent-${this.below(agents)}`), asked: false, started: false, seq: 0 }]));
    this.ids = [...this.calls.keys()];
  }

  below(n) { return Math.floor(this.random() * n); }
  pick(list) { return list[this.below(list.length)]; }

  fault(text) { if (this.faults.length < 20) this.faults.push(text); }
  /** The same, with what befell that agent in that call. */
  faultOf(agent, id, text) { this.fault(`${text}\n    ${agent.trail.filter(([about]) => about === id || !about).slice(-12).map(([, what]) => what).join("; ")}`); }

  /** Claims that name some calls, many or none. */
  claims(sub) {
    const [role, calls] = [this.random() < 0.25 ? "supervisor" : "agent", []];
    const how = this.random();
    for (const id of this.ids) if (this.random() < (how < 0.4 ? 0.5 : 0.1)) calls.push(id);
    return { sub, role, calls: how > 0.93 ? "*" : how > 0.85 ? ["call-1*"] : how > 0.6 ? [] : calls, iat: now(), exp: now() + 3600 };
  }

  token(claims) { return sign(this.key, claims); }

  names({ calls }, id) {
    if (calls === "*") return true;
    return calls.some((one) => (one.endsWith("*") ? id.startsWith(one.slice(0, -1)) : one === id));
  }

  allows(claims, id) { return this.names(claims, id) || this.calls.get(id).agents.includes(claims.sub); }
}

const IN = "in", OUT = "out", MAYBE = "maybe"; // maybe: it alone cannot know

// A call that the claims do not allow any more stays "in" until the agent is told that it lost it; with other claims
// before that it does not. In between nothing may come, and afterwards nothing may be missing.

export class Agent {
  constructor(world, url, n, transports) {
    this.world = world;
    this.url = url;
    this.sub = `agent-${n}`;
    this.claims = world.claims(this.sub);
    this.pending = 0;
    this.trail = []; // [call id or "", what happened]
    this.isOver = false;
    this.transports = transports;
    this.open();
  }

  open() {
    const { world } = this;
    this.rooms = new Map(); // call id → {state, seq}
    this.socket?.removeAllListeners();
    this.hasRecovered = false;
    this.socket = io(this.url, { auth: { token: world.token(this.claims) }, forceNew: true, transports: this.transports, reconnectionDelay: 20, reconnectionDelayMax: 100 });
    this.ready = new Promise((resolve) => this.socket.once("connect", resolve));
    this.socket.on("connect", () => {
      if (!this.socket.recovered) this.rooms.clear();
      this.trail.push(["", `connected, recovered ${this.socket.recovered}`]);
      this.isCut = false;
    });
    this.socket.on("connect_error", (error) => world.fault(`${this.sub} cannot connect: ${error.message}`));
    this.socket.onAny((event, data) => this.receive(event, data));
    this.socket.on("disconnect", (reason) => { if (reason === "io server disconnect") this.isGone = true; });
  }

  room(id) {
    if (!this.rooms.has(id)) this.rooms.set(id, { state: OUT, seq: -1 });
    return this.rooms.get(id);
  }

  /** It left, as far as it can know: another server's wish may still be on its way. */
  leave(id) {
    const room = this.room(id);
    room.state = room.isWanted ? MAYBE : OUT;
  }

  receive(event, data) {
    const { world } = this;
    if (event === "error") {
      this.lastError = data;
      if (data.call_id === undefined) return;
      if (world.tellsLate && world.allows(this.claims, data.call_id)) {
        this.room(data.call_id).state = MAYBE; // it may have been let in again meanwhile, or not have asked yet
        return;
      }
      // Whose call it is the server knows once it has begun; another server may have wished it before.
      const isWanted = this.room(data.call_id).isWanted && !world.names(this.claims, data.call_id);
      if (data.code === 403 && this.isCut) { // it lost it before the cut, and is told after it
        this.trail.push([data.call_id, "error 403, missed"]);
        this.leave(data.call_id);
        return;
      }
      if (data.code !== 403 || (world.allows(this.claims, data.call_id) && !isWanted)) world.fault(`${this.sub} lost ${data.call_id}: ${JSON.stringify(data)} ${JSON.stringify(this.claims)}`);
      world.left++;
      this.trail.push([data.call_id, `error ${data.code}`]);
      this.leave(data.call_id);
      return;
    }
    if (event === "call:stats") { // of all calls, so for whom all are open
      if (this.claims.role !== "supervisor" || this.claims.calls !== "*") world.fault(`${this.sub} was sent ${event} as ${JSON.stringify(this.claims)}`);
      return;
    }
    const room = this.room(data.call_id);
    const about = () => `${this.sub} (${JSON.stringify(this.claims.calls)}) was sent ${event} ${JSON.stringify(data).slice(0, 200)}`;
    world.delivered++;
    if (this.isGone) world.fault(`${about()} after its token had ended`);
    if (room.state === OUT) world.faultOf(this, data.call_id, `${about()} though it is not in the call`);
    if (!world.allows(this.claims, data.call_id)) world.faultOf(this, data.call_id, `${about()} without a right to it; agents of the call: ${world.calls.get(data.call_id).agents}`);
    if (event === "doc:feedback" && this.claims.role !== "supervisor") world.fault(`${about()} as ${this.claims.role}`);
    if (event === "doc:feedback") world.votes++;
    if (data.seq === undefined || room.state !== IN) return;
    if (data.seq > room.seq + 1) world.faultOf(this, data.call_id, `${about()}: ${room.seq} was before`);
    if (data.seq <= room.seq && !this.hasRecovered) world.faultOf(this, data.call_id, `${about()} twice: ${room.seq} was before`);
    room.seq = Math.max(room.seq, data.seq);
    // While the server reviews whether it stays in a call, what comes of that call is kept back, but not this: all of it
    // must be there after a cut. What has arrived already is dispatched first.
    if (this.cutsAmidReview && this.wrongs().length) setImmediate(() => this.cut());
  }

  ask(event, data, answered) {
    const { socket } = this;
    this.pending++;
    const about = data.call_id ?? "";
    this.trail.push([about, `asks ${event}`]);
    socket.emit(event, data, (answer) => {
      if (socket !== this.socket) return;
      this.pending--;
      this.trail.push([about, `${event}: ${answer.ok ? "ok" : answer.error?.code}`]);
      if (answer.error?.code >= 500) this.world.fault(`${this.sub}: ${event} ${JSON.stringify(answer.error)}`);
      answered(answer);
    });
  }

  subscribe(id) {
    const { world } = this;
    const call = world.calls.get(id);
    const { asked, started } = call;
    this.ask("call:subscribe", { call_id: id }, (answer) => {
      const room = this.room(id);
      const { code } = answer.error ?? {};
      if (!answer.ok) world.refusals++;
      if (answer.ok !== (world.allows(this.claims, id) && (started || (answer.ok && call.asked))))
        if (started || !call.asked || answer.ok || !world.allows(this.claims, id)) world.fault(`${this.sub} ${JSON.stringify(this.claims)} asked for ${id} (asked ${asked}, started ${started}): ${JSON.stringify(answer).slice(0, 200)}`);
      if (code === 404 && !world.names(this.claims, id)) world.fault(`${this.sub} learned that ${id} does not exist`);
      if (!answer.ok) return this.leave(id);
      room.state = IN;
      room.seq = answer.seq;
      const seqs = [...answer.transcript, ...answer.suggestions].map(({ seq }) => seq);
      if (seqs.some((seq) => seq > answer.seq)) world.fault(`${this.sub}: the snapshot of ${id} is older than its lines`);
    });
  }

  unsubscribe(id) {
    this.ask("call:unsubscribe", { call_id: id }, (answer) => {
      if (!answer.ok) this.world.fault(`${this.sub}: unsubscribe ${JSON.stringify(answer)}`);
      this.leave(id);
    });
  }

  take(claims) {
    this.claims = claims;
    this.trail.push(["", `now ${claims.role} of ${JSON.stringify(claims.calls)}`]);
  }

  refresh() {
    const { world } = this;
    const claims = world.claims(this.sub);
    const token = world.token(claims);
    const [event, data] = world.random() < 0.5 ? ["auth:refresh", { token }] : ["agent:connect", { agent_id: this.sub, auth_token: token }];
    this.ask(event, data, (answer) => {
      this.cutsAmidReview = world.random() < 0.5;
      if (answer.ok && answer.role === claims.role) this.take(claims);
      else world.fault(`${this.sub}: ${event} ${JSON.stringify(answer)}`);
    });
  }

  /** Tokens that must change nothing. */
  refreshWrongly() {
    const { world } = this;
    const token = world.token({ ...world.claims("somebody-else"), calls: "*" });
    this.ask("auth:refresh", { token }, (answer) => { if (answer.error?.code !== 403) world.fault(`${this.sub}: another's token: ${JSON.stringify(answer)}`); });
  }

  vote(id) {
    const { started } = this.world.calls.get(id);
    this.ask("doc:feedback", { call_id: id, doc_id: this.docId, helpful: this.world.random() < 0.5 }, (answer) => {
      // It is checked when it is asked, and answered later: other claims may have come in between.
      if (answer.ok && !started && !this.world.calls.get(id).asked) this.world.fault(`${this.sub} voted in ${id}, which does not exist`);
    });
  }

  /** The connection breaks; the client comes back with another token. Not while answers are on their way. */
  cut() {
    const { engine } = this.socket.io;
    if (this.pending || this.isCut || !this.socket.connected || engine.transport.name !== "websocket") return;
    this.isCut = true;
    this.cutsAmidReview = false;
    this.hasRecovered = true; // what it missed may hold what snapshots had, too
    this.trail.push(["", "cut"]);
    this.world.cuts++;
    const claims = this.world.claims(this.sub);
    this.socket.auth = { token: this.world.token(claims) };
    engine.transport.ws.terminate();
    this.take(claims);
  }

  /** A token that ends soon; the server is to disconnect, and the agent comes anew. */
  async end() {
    if (this.isEnding || this.isCut || !this.socket.connected) return;
    this.isEnding = true;
    const claims = { ...this.claims, exp: now() + 2 };
    const { socket } = this;
    const gone = new Promise((resolve) => socket.once("disconnect", resolve));
    this.ask("auth:refresh", { token: this.world.token(claims) }, (answer) => {
      if (answer.ok) this.take(claims);
      else this.lastError = answer.error; // it had ended before it was read, and that is said here
    });
    const reason = await gone;
    if (reason !== "io server disconnect") { this.isEnding = false; return; }
    if (this.lastError?.code !== 401) this.world.fault(`${this.sub} was disconnected without a reason`);
    if (now() < claims.exp) this.world.fault(`${this.sub} was disconnected too early`);
    socket.disconnect();
    this.pending = 0;
    this.isGone = this.isEnding = false;
    this.claims = this.world.claims(this.sub);
    if (!this.isOver) this.open();
  }

  act() {
    const { world } = this;
    if (!this.socket.connected || this.isCut) return;
    const id = world.pick(world.ids), how = this.isEnding ? world.random() * 0.56 : world.random();
    if (how < 0.30) this.subscribe(id);
    else if (how < 0.38) { this.subscribe(id); this.subscribe(id); }
    else if (how < 0.44) { this.unsubscribe(id); this.subscribe(id); }
    else if (how < 0.50) { this.subscribe(id); this.unsubscribe(id); }
    else if (how < 0.56) this.unsubscribe(id);
    else if (how < 0.62) { this.subscribe(id); this.refresh(); }
    else if (how < 0.68) { this.refresh(); this.subscribe(id); }
    else if (how < 0.78) this.refresh();
    else if (how < 0.82) this.refreshWrongly();
    else if (how < 0.88) this.vote(id);
    else if (how < 0.96) this.cut();
    else if (how < 0.965) this.end();
  }

  /** What it believes to be in without a right to it. */
  wrongs() { return [...this.rooms].filter(([id, { state }]) => state === IN && !this.world.allows(this.claims, id)).map(([id]) => `${this.sub} ${id}`); }

  /** Another server puts it into the call's rooms, as it believes. */
  wanted(id) {
    const room = this.room(id);
    room.isWanted = true;
    if (room.state === OUT) room.state = MAYBE;
  }

  disconnect() {
    this.isOver = true;
    this.socket.disconnect();
  }
}
