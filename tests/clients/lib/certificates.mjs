// An authority, and certificates that it signs, as files in a folder of the test's.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const openssl = (...args) => execFileSync("openssl", args, { stdio: "ignore" });

export class Authority {
  folder = mkdtempSync(join(tmpdir(), "parley-ca-"));
  ca = join(this.folder, "ca.pem");
  #key = join(this.folder, "ca.key");

  constructor() {
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", this.#key, "-out", this.ca);
  }

  // { ca, cert, key } for these names: "DNS:localhost", "IP:127.0.0.1".
  issue(name, ...names) {
    const [key, request, cert, extensions] = ["key", "csr", "pem", "ext"].map((end) => join(this.folder, `${name}.${end}`));
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
    writeFileSync(extensions, names.length > 0 ? `subjectAltName=${names.join(",")}\n` : "");
    openssl("x509", "-req", "-in", request, "-CA", this.ca, "-CAkey", this.#key, "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", cert);
    return { ca: this.ca, cert, key };
  }

  remove() { rmSync(this.folder, { recursive: true, force: true }); }
}
