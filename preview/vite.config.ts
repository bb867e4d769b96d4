import { defineConfig } from "vite";

// Files have the same names in each build, and `dist` is kept: the program embeds what lies there.
export default defineConfig({
  base: "/preview/",
  build: {
    outDir: "dist",
    emptyOutDir: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
});
