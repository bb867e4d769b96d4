// Draws samples as each chat shows them, light and dark, into PNG files.
//
//   npm ci && npm run draw -- [SAMPLE …]
//
// HOOKBELL: the program (default ../../target/debug/hookbell). CHROMIUM: the browser (default /usr/bin/chromium).
// TEAMS_HOST_CONFIGS: a directory with Microsoft's teams-light.hostconfig.json and teams-dark.hostconfig.json;
// without it the renderer's own default is used, which is not what Teams looks like. OUT: where to (default .).
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const program = process.env.HOOKBELL ?? "../../target/debug/hookbell";
const out = process.env.OUT ?? ".";
const configs = process.env.TEAMS_HOST_CONFIGS ?? "";
const samples = process.argv.length > 2 ? process.argv.slice(2) : ["push", "pull_request.opened", "pull_request.merged"];
mkdirSync(out, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});
const page = await browser.newPage({ viewport: { width: 664, height: 600 }, deviceScaleFactor: 2 });
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));
await page.setContent("<!doctype html><body></body>");
await page.addStyleTag({ path: "build/page.css" });
await page.addStyleTag({ path: "page.css" });
await page.addScriptTag({ path: "build/page.js" });

for (const sample of samples) {
  for (const chat of ["slack", "teams", "discord"]) {
    const lines = execFileSync(program, ["render", sample, "--chat", chat], { encoding: "utf8" });
    const body = JSON.parse(lines.split("\n")[0]);
    for (const theme of ["light", "dark"]) {
      const file = `${configs}/teams-${theme}.hostconfig.json`;
      const hostConfig = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
      await page.evaluate((all) => window.draw(...all), [chat, body, theme, hostConfig]);
      await page.waitForFunction(() => document.getElementById("root").innerText.trim().length > 0);
      await page.evaluate(() => document.fonts.ready);
      await page.waitForTimeout(150);
      const name = `${sample}.${chat}${theme === "dark" ? ".dark" : ""}.png`;
      await page.locator("#root").screenshot({ path: `${out}/${name}` });
      console.log(name);
    }
  }
}
await browser.close();
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
