import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The API that `npx vite` asks while the page is worked on. */
const API = "http://127.0.0.1:8000";

export default defineConfig({
  base: "/app/",
  plugins: [react()],
  build: {
    target: "es2022",
    // Everything as a file of its own: a policy without `data:` for scripts and fonts then holds as well.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: Object.fromEntries(
      [
        "/session", "/users", "/recommend", "/similar", "/trending", "/charts", "/items", "/search", "/events",
        "/operator", "/freshness", "/ledger", "/health",
      ].map((path) => [path, { target: API, changeOrigin: true }]),
    ),
  },
});
