import { defineConfig } from "vitest/config";

// The server is real, at a port of its own: what happy-dom takes for another origin is let through.
export default defineConfig({
  test: {
    environment: "happy-dom",
    environmentOptions: { happyDOM: { settings: { fetch: { disableSameOriginPolicy: true } } } },
    include: ["test/**/*.test.{ts,tsx}"],
    server: { deps: { external: [/tests\/(browser|clients|support)\//] } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
