import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// One script with everything in it, which any site loads.
export default defineConfig({
  plugins: [react(), tailwindcss()],
  define: { "process.env.NODE_ENV": '"production"' },
  resolve: { alias: { "@parley/react": here("../react/src/index.ts"), "react-remove-scroll": here("src/ui/no-remove-scroll.tsx") } },
  build: {
    target: "es2022",
    emptyOutDir: false,
    copyPublicDir: false,
    lib: { entry: here("src/widget/widget.tsx"), formats: ["iife"], name: "ParleyChat", fileName: () => "assets/parley-chat.js" },
  },
});
