import { defineConfig } from "vite";

// The library: React and the Socket.IO client stay what the application has.
export default defineConfig({
  build: {
    target: "es2022",
    minify: false,
    lib: { entry: "src/index.ts", formats: ["es"], fileName: "index" },
    rolldownOptions: { external: ["react", "socket.io-client"] },
  },
});
