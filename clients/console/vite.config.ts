import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Names carry no version: the server sends entity tags, and browsers ask again.
export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: {
      "@parley/react": here("../react/src/index.ts"),
      // Radix stops the page behind a dialog from scrolling by a style element, which the server's content security
      // policy does not allow; this page does not scroll.
      "react-remove-scroll": here("src/ui/no-remove-scroll.tsx"),
    },
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700, // what counts is its size on the way: browser.assets
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { console: here("index.html"), demo: here("demo.html") },
      output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/[name][extname]" },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:3000", "/demo": "http://127.0.0.1:3000", "/socket.io": { target: "http://127.0.0.1:3000", ws: true } } },
});
