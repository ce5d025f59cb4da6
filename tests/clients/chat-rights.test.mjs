// Who may be sent what of a chat: users and supervisors of two tenants do random things at three workers; every delivery and
// every answer is held against a model. Repeatable but for the network's timing: RIGHTS_SEED=n.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { until } from "../support/wait.mjs";
import { ChatClient } from "./lib/chat.mjs";
import { startModel } from "./lib/model.mjs";
import { keyOf, now, sign } from "./lib/tokens.mjs";

process.env.TEST_PARLEY ??= process.env.PARLEY;
const { startParley } = await import("../browser/server.mjs");

const seed = Number(process.env.RIGHTS_SEED ?? Date.now() % 1000000), ROUNDS = Number(process.env.RIGHTS_ROUNDS ?? 60);
let state = seed;
const random = (n) => { state = (state * 16807) % 2147483647; return state % n; };
const pick = (list) => list[random(list.length)];

let model, parley;
after(async () => { await parley?.stop(); model?.stop(); });

test("nobody is sent anything of a chat without a right to it, and answers tell nothing of it", async () => {
  model = await startModel((messages) => ["re ", messages.at(-1).content]);
  parley = await startParley(...model.options, "--workers", "3", "--turns-per-user-max", "1000");
  const key = keyOf(parley);
  const faults = [];
  const chats = new Map(); // id → { user, tenant }
  const people = [];
  let delivered = 0, refused = 0, allowed = 0;
  class Person {
    constructor(sub, role, tenant) { Object.assign(this, { sub, role, tenant, chats: [] }); }
    claims() { return { sub: this.sub, role: this.role, exp: now() + 3600, ...(this.tenant && { tenant: this.tenant }), chats: this.chats }; }
    owns(id) { const chat = chats.get(id); return chat?.user === this.sub && chat.tenant === this.tenant; }
    /** Also what it could see a moment ago: what was sent before a right ended may still arrive. */
    sees(id) { return this.owns(id) || (["supervisor", "admin"].includes(this.role) && chats.get(id)?.tenant === this.tenant && (this.chats.includes(id) || this.before?.includes(id))); }
    async connect() {
      this.client?.close();
      this.client = new ChatClient(parley.url, sign(key, this.claims()));
      this.client.socket.onAny((event, data) => {
        if (!data?.chat_id || event === "error") return;
        delivered++;
        if (chats.has(data.chat_id) && !this.sees(data.chat_id)) faults.push(`${this.sub} of ${this.tenant} got ${event} of ${data.chat_id}`);
        const text = JSON.stringify(data);
        for (const [id, { secret }] of chats) if (id !== data.chat_id && text.includes(secret)) faults.push(`${this.sub} read of ${id} in ${data.chat_id}`);
      });
      await this.client.ready;
    }
    async act(id) {
      const [event, data, owners] = pick([
        ["session.init", { since_seq: 0 }], ["session.init", {}], ["chat.history", {}], ["chat.message", { id: `m${random(1e9)}`, content: `${chats.get(id).secret} again`, queue: true }, true],
        ["signal.stop", {}, true], ["chat.feedback", { ref_id: "m0", helpful: true }, true], ["chat.regenerate", { ref_id: "m0" }, true], ["session.close", {}, true],
        ["elicitation.submit", { reply_to: "x", content: {} }, true], ["chat.edit", { id: "m0", content: chats.get(id).secret }, true]]);
      const [owned, seen] = [this.owns(id), this.sees(id)];
      const answer = await this.client.ask(event, { ...data, chat_id: id });
      const code = answer.ok ? 200 : answer.error.code;
      if (!seen && code !== 404) faults.push(`${this.sub}: ${event} of ${id}: ${code}`);
      if (!seen && answer.error?.message !== "chat not found") faults.push(`${this.sub}: ${event}: ${answer.error?.message}`);
      if (seen && !owned && owners && ![403, 404].includes(code)) faults.push(`${this.sub} may only watch, ${event}: ${code}`);
      if (owned && [403].includes(code)) faults.push(`${this.sub}: ${event} of an own chat: ${code}`);
      if (code === 404 && !owned) refused++; else allowed++;
    }
    async change() {
      if (!["supervisor", "admin"].includes(this.role)) return;
      this.before = this.chats;
      this.chats = [...chats.keys()].filter(() => random(3) === 0);
      const answer = await this.client.ask("auth:refresh", { token: sign(key, this.claims()) });
      if (!answer.ok) faults.push(JSON.stringify(answer));
    }
  }
  for (const tenant of [undefined, "b"]) {
    for (const name of ["ann", "bob", "cid"]) people.push(new Person(name, "user", tenant));
    people.push(new Person("sue", "supervisor", tenant), new Person("kim", "admin", tenant), new Person("art", "agent", tenant));
  }
  await Promise.all(people.map((person) => person.connect()));
  for (const person of people) for (let i = 0; i < 2; i++) {
    const { chat_id } = await person.client.must("session.init", {});
    chats.set(chat_id, { user: person.sub, tenant: person.tenant, secret: `secret-${chats.size}-` });
    await person.client.must("chat.message", { id: "m0", content: chats.get(chat_id).secret });
  }
  for (let round = 0; round < ROUNDS && !faults.length; round++) {
    await Promise.all(people.map((person) => person.act(pick([...chats.keys()]))));
    if (round % 5 === 4) await pick(people).change();
    if (round % 9 === 8) await pick(people).connect();
  }
  // A right that has ended is gone for good: what is said now reaches who may have it, and nobody else.
  for (const person of people) person.before = undefined;
  for (const person of people) {
    const id = [...chats.keys()].find((one) => person.owns(one));
    await person.client.must("session.init", { chat_id: id });
    await person.client.must("chat.message", { id: `last`, content: "last", chat_id: id, queue: true });
    await until(() => person.client.log.some(({ event, ref_id }) => ["chat.done", "error"].includes(event) && ref_id === "last"), "the last answer");
  }
  for (const person of people) person.client.close();
  console.log(JSON.stringify({ seed, delivered, refused, allowed }));
  assert.deepEqual(faults, [], `seed ${seed}`);
  assert.ok(delivered > 200 && refused > 100 && allowed > 30, "too little happened");
});
