// Hosts for tests of partitions: network namespaces that the test makes for itself, inside one of its own. Each host has
// two links, `front` to the clients and `back` to Redis, so that a node can lose the others and keep its clients.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

export const BACK = "10.78.0.1"; // where Redis listens
const front = (number) => `10.77.0.${number}`;
const back = (number) => `10.78.0.${number}`;

function ip(...words) {
  const run = spawnSync("ip", words.join(" ").split(" "), { encoding: "utf8" });
  assert.equal(run.status, 0, `ip ${words.join(" ")}: ${run.stderr}`);
}

// Runs the file again inside a network namespace, where it may do as it likes. True: this is the inner run. Where the
// system does not permit it there is one test, skipped, that says so.
export function insideNetns(url) {
  if (process.env.PARLEY_NETNS === "1") return true;
  const wrapper = ["--map-root-user", "--net", "--"];
  const permitted = spawnSync("unshare", [...wrapper, "ip", "link", "add", "b0", "type", "bridge"]);
  const skip = permitted.status === 0 ? false : `network namespaces are not permitted here: ${permitted.stderr}`;
  test("in a network namespace", { skip }, async () => {
    const child = spawn("unshare", [...wrapper, process.execPath, ...process.execArgv, "--test", fileURLToPath(url)], {
      stdio: "inherit",
      env: { ...process.env, PARLEY_NETNS: "1", NODE_TEST_CONTEXT: undefined },
    });
    const [code, signal] = await once(child, "exit");
    assert.equal(code ?? signal, 0, "the tests inside");
  });
  return false;
}

// The two networks, and hosts on them.
export class Network {
  constructor() {
    this.hosts = [];
    ip("link set lo up");
    // A bridge without an address of its own takes its ports' lowest, and those who knew the former talk to nobody.
    for (const [bridge, address, mac] of [["front", front(1), "02:00:00:00:77:01"], ["back", BACK, "02:00:00:00:78:01"]]) {
      ip(`link add ${bridge} address ${mac} type bridge`);
      ip(`addr add ${address}/24 dev ${bridge}`);
      ip(`link set ${bridge} up`);
    }
  }

  // A host: { address, prefix }; prefix is put before a command to run it there.
  async add() {
    const number = 10 + this.hosts.length;
    const holder = spawn("unshare", ["--net", "setpriv", "--pdeathsig", "KILL", "sleep", "infinity"], { stdio: "ignore" });
    await once(holder, "spawn");
    const prefix = ["nsenter", `--net=/proc/${holder.pid}/ns/net`, "--"];
    const own = spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }).stdout;
    for (let i = 0; i < 200; i++) {
      if (spawnSync("readlink", [`/proc/${holder.pid}/ns/net`], { encoding: "utf8" }).stdout !== own) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const [bridge, address] of [["front", front(number)], ["back", back(number)]]) {
      ip(`link add ${bridge}${number} type veth peer name ${bridge} netns ${holder.pid}`);
      ip(`link set ${bridge}${number} master ${bridge} up`);
      for (const words of [`addr add ${address}/24 dev ${bridge}`, `link set ${bridge} up`]) {
        const run = spawnSync(prefix[0], [...prefix.slice(1), "ip", ...words.split(" ")], { encoding: "utf8" });
        assert.equal(run.status, 0, `ip ${words}: ${run.stderr}`);
      }
    }
    const host = { number, holder, prefix, address: front(number) };
    this.hosts.push(host);
    return host;
  }

  // Nothing passes between this host and Redis any more, and nobody is told.
  cut(host) { ip(`link set back${host.number} down`); }
  heal(host) { ip(`link set back${host.number} up`); }

  async close() {
    for (const { holder } of this.hosts) {
      const ended = once(holder, "exit");
      holder.kill("SIGKILL");
      await ended;
    }
  }
}
