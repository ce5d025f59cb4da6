// A TCP proxy that is not sticky: each connection goes to the next server in turn.
import { once } from "node:events";
import net from "node:net";

// ports: a function that returns those of the servers, now. `only`: a port that gets all. `count`: of connections.
export class Proxy {
  turn = 0;
  only = null;
  count = 0;

  constructor(ports) { this.ports = ports; }

  async start() {
    this.server = net.createServer((client) => {
      const ports = this.ports();
      const server = net.connect({ port: this.only ?? ports[this.turn++ % ports.length], host: "127.0.0.1", allowHalfOpen: true });
      this.count++;
      client.setNoDelay(true);
      server.setNoDelay(true);
      client.pipe(server).pipe(client);
      client.on("error", () => server.destroy()).on("close", () => server.destroy());
      server.on("error", () => client.destroy()).on("close", () => client.destroy());
    }).listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() { this.server.close(); }
}
