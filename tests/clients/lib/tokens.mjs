// Tokens of any kind, also such as `parley token` does not make.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const base64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export const now = () => Math.floor(Date.now() / 1000);

/** The key of a server's data directory. */
export const keyOf = (parley) => readFileSync(join(parley.data, "dev-jwt.key"));

/** A signed token. claims: an object, or JSON text as it is. */
export function sign(key, claims, header = { alg: "HS256", typ: "JWT" }) {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}
