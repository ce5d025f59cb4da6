// A master, replicas and Sentinels of the test's own.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { until } from "../../support/wait.mjs";
import { startRedis } from "./redis.mjs";

// { master, servers, sentinels, url, addresses: of the Sentinels, current(): the master's port, stop() }
export async function startSentinels({ count = 3, name = "calls", args = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "parley-sentinel-"));
  const master = await startRedis({ args });
  const replicas = [await startRedis({ args: ["--replicaof", "127.0.0.1", master.port, ...args] }), await startRedis({ args: ["--replicaof", "127.0.0.1", master.port, ...args] })];
  const sentinels = [];
  for (let i = 0; i < count; i++) {
    const file = join(folder, `${i}.conf`);
    writeFileSync(file, `sentinel monitor ${name} 127.0.0.1 ${master.port} ${Math.floor(count / 2) + 1}\nsentinel down-after-milliseconds ${name} 1000\n`
      + `sentinel failover-timeout ${name} 5000\nsentinel parallel-syncs ${name} 2\n`);
    sentinels.push(await startRedis({ file }));
  }
  const ask = async (port, ...command) => {
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).on("error", () => {}).connect();
    try { return await client.sendCommand(command); } finally { client.destroy(); }
  };
  const current = async (sentinel = sentinels[0]) => Number((await ask(sentinel.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name))[1]);
  // All know each other and the replicas, or no failover would come.
  await until(async () => {
    for (const { port } of sentinels) {
      const fields = await ask(port, "SENTINEL", "MASTER", name), value = (key) => Number(Array.isArray(fields) ? fields[fields.indexOf(key) + 1] : fields[key]);
      if (value("num-slaves") < 2 || value("num-other-sentinels") < count - 1) return false;
    }
    return true;
  }, "the Sentinels to know everybody");
  const all = [master, ...replicas, ...sentinels];
  return {
    master, replicas, sentinels, current, ask,
    url: `redis://${name}`,
    addresses: sentinels.map(({ url }) => url).join(","),
    server: (port) => [master, ...replicas].find((one) => one.port === port),
    async stop() {
      for (const server of all) await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
