// Builds what the server embeds: the console, the demo and the widget, the console's components as a registry of shadcn, and the official client's builds as npm has them.
// usage: node build.mjs [FOLDER]      (without a folder: dist, which is in the repository)
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { writeRegistry } from "./registry.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const CLIENT = join(HERE, "node_modules/socket.io-client");
const BUILDS = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"].flatMap((name) => [`${name}.js`, `${name}.js.map`]);

const out = process.argv[2] ? resolve(process.argv[2]) : join(HERE, "dist");
const client = join(out, "socket.io-client");
await rm(client, { recursive: true, force: true });
await mkdir(client, { recursive: true });
for (const name of BUILDS) await cp(join(CLIENT, "dist", name), join(client, name));
await cp(join(CLIENT, "LICENSE"), join(client, "LICENSE"));
const { name, version, license } = JSON.parse(await readFile(join(CLIENT, "package.json"), "utf8"));
await writeFile(join(client, "package.json"), `${JSON.stringify({ name, version, license }, null, 2)}\n`);
await build({ root: join(HERE, "console"), logLevel: "warn", build: { outDir: join(out, "console"), emptyOutDir: true } });
await build({ root: join(HERE, "console"), configFile: join(HERE, "console/vite.widget.config.ts"), logLevel: "warn", build: { outDir: join(out, "console") } });
await writeRegistry(HERE, join(out, "console/r"));
