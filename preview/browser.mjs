// The page in a headless browser, with its own `hookbell preview`.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const CONFIG = `templates = "mine"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = { file = "bitbucket.secret", generate = true }
[channels.screen]
kind = "console"
[[routes]]
event = "@calm"
to = "screen"
`;

const PEOPLE = `[people."Bo Lindqvist"]
slack = "U024BE7LH"
teams = "bo@acme.example"
discord = "80351110224678912"
[people.cy]
slack = "S0614TZR7"
teams = "cy@acme.example"
discord = "&165511591545143296"
`;

/**
 * Runs `work` with a browser, the page's address and the directory of templates, where the config knows two `people` or
 * nobody; CHROMIUM names another browser.
 */
export async function withPreview(program, people, work) {
  const home = mkdtempSync(join(tmpdir(), "hookbell-preview-"));
  writeFileSync(join(home, "config.toml"), people ? CONFIG + PEOPLE : CONFIG);
  mkdirSync(join(home, "mine"));
  const served = spawn(resolve(program), ["preview"], { cwd: home, stdio: ["ignore", "pipe", "inherit"] });
  let browser;
  try {
    const address = await new Promise((found, failed) => {
      served.stdout.once("data", (line) => found(String(line).trim()));
      served.once("exit", (code) => failed(new Error(`hookbell preview ended with ${code}`)));
    });
    const flags = ["no-sandbox", "disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run"];
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: flags.map((flag) => `--${flag}`),
    });
    await work({ browser, address, templates: join(home, "mine") });
  } finally {
    await browser?.close();
    served.kill("SIGINT");
    rmSync(home, { recursive: true, force: true });
  }
}
