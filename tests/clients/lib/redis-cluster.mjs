// A Redis Cluster of the test's own: three masters, three replicas.
import { createClient, createCluster } from "redis";
import { until } from "../../support/wait.mjs";
import { startRedis } from "./redis.mjs";

const SLOTS = 16384;

// { servers, masters, replicas, url, addresses, ask(server, …command), move(slot, from, to), client(), owner(slot), stop() }
export async function startRedisCluster({ timeout = 2000 } = {}) {
  const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", timeout];
  const servers = await Promise.all(Array.from({ length: 6 }, () => startRedis({ args })));
  const [masters, replicas] = [servers.slice(0, 3), servers.slice(3)];
  const clients = new Map();
  const ask = async (server, ...command) => {
    if (!clients.has(server)) clients.set(server, await createClient({ url: server.url }).on("error", () => {}).connect());
    return clients.get(server).sendCommand(command.map(String));
  };
  const id = (server) => ask(server, "CLUSTER", "MYID").then(String);
  const size = Math.ceil(SLOTS / 3);
  for (const [i, master] of masters.entries()) await ask(master, "CLUSTER", "ADDSLOTSRANGE", i * size, Math.min((i + 1) * size, SLOTS) - 1);
  for (const [i, server] of servers.entries()) await ask(server, "CLUSTER", "SET-CONFIG-EPOCH", i + 1);
  for (const server of servers.slice(1)) await ask(server, "CLUSTER", "MEET", "127.0.0.1", servers[0].port);
  const info = async (server) => String(await ask(server, "CLUSTER", "INFO"));
  const isWhole = async () => (await Promise.all(servers.map(info))).every((text) => text.includes("cluster_known_nodes:6") && text.includes("cluster_state:ok"));
  await until(isWhole, "the members to know each other");
  for (const [i, replica] of replicas.entries()) await ask(replica, "CLUSTER", "REPLICATE", await id(masters[i]));
  await until(async () => (await Promise.all(replicas.map((replica) => ask(replica, "ROLE")))).every(([role, , , state]) => String(role) === "slave" && String(state) === "connected"), "the replicas");
  const cluster = {
    servers, masters, replicas, ask, id,
    url: servers[0].url,
    addresses: servers.slice(0, 2).map(({ url }) => url).join(","),
    slot: (name) => ask(servers.find(({ gone }) => !gone), "CLUSTER", "KEYSLOT", name).then(Number),
    // Who has a slot, as that member sees it.
    async owner(server, slot) {
      for (const [first, last, [, port]] of await ask(server, "CLUSTER", "SLOTS")) if (first <= slot && slot <= last) return Number(port);
    },
    // Moves a slot as redis-cli --cluster reshard does: there are no keys. Another move may follow when all agree on it.
    async move(slot, from, to) {
      await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", await id(from));
      await ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", await id(to));
      await ask(to, "CLUSTER", "SETSLOT", slot, "NODE", await id(to));
      for (const server of masters) if (server !== to && !server.gone) await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", await id(to));
      const living = servers.filter(({ gone }) => !gone);
      await until(async () => (await Promise.all(living.map((server) => this.owner(server, slot)))).every((port) => port === to.port), `all members to know where ${slot} is`);
      const epochs = async () => (await Promise.all(living.map((server) => ask(server, "CLUSTER", "INFO")))).map((text) => /cluster_current_epoch:(\d+)/.exec(text)[1]);
      await until(async () => new Set(await epochs()).size === 1, "all members to have the same epoch");
    },
    async kill(server) {
      server.gone = true;
      clients.get(server)?.destroy();
      clients.delete(server);
      await server.kill();
    },
    client: () => createCluster({ rootNodes: servers.map(({ url }) => ({ url })) }).on("error", () => {}).connect(),
    async stop() {
      for (const client of clients.values()) client.destroy();
      for (const server of servers) if (!server.gone) await server.stop();
    },
  };
  return cluster;
}
