// Tries the page out in a real browser: `node test.mjs [HOOKBELL]`. PICTURES names a directory for the documentation's
// pictures of it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { withPreview } from "./browser.mjs";

const pictures = process.env.PICTURES && resolve(process.env.PICTURES);

const program = process.argv[2] ?? "../target/debug/hookbell";
await withPreview(program, false, async ({ browser, address, templates }) => {
  const origin = new URL(address).origin;
  const opened = join(templates, "pull_request.opened.md.hbs");
  const page = await browser.newPage({ viewport: { width: 1400, height: 1560 }, colorScheme: "light" });
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:")) faults.push(`it asks for ${url}`);
  });

  await page.goto(address);
  const shows = (chat, text) => page.locator(chat).getByText(text, { exact: false }).first().waitFor();
  for (const chat of ["#slack", "#teams", "#discord"]) await shows(chat, "#482 Add rate limits");
  assert.ok(!page.url().includes("token"), "the token has left the address");
  assert.equal(await page.locator("#line").innerText(), "Ana Ruiz opened #482 Add rate limits in acme/api");
  assert.ok(await page.locator("#save").isDisabled(), "nothing is to be saved");

  // An error is shown at its position, and the last valid preview stays.
  const text = page.locator("#text");
  const builtIn = await text.inputValue();
  await text.fill(builtIn.replace("{{pull_request.title}}'\nurl", "{{pull_request.titel}}'\nurl"));
  await page.locator("#problems li.error").waitFor();
  const problem = await page.locator("#problems li").first().innerText();
  assert.match(problem, /error at 3:\d+\nunknown field `titel` in `pull_request.titel`\ndid you mean `title`\?/);
  assert.equal(await page.locator("#lines .error").innerText(), "3");
  assert.match(await page.locator("#note").innerText(), /The template has errors/);
  if (pictures) await page.screenshot({ path: join(pictures, "preview.mistake.png") });
  await page.locator("#problems li").first().click();
  const caret = await text.evaluate((area) => area.value.slice(0, area.selectionStart).split("\n").length);
  assert.equal(caret, 3, "the caret is where the mistake is");

  // Mended and changed, it is drawn on all chats, and saved as a file of one's own.
  await text.fill(builtIn.replace(/^title .*$/m, "title  = 'Please review: {{pull_request.title}}'").replace("accent = 'info'", "accent = 'warning'"));
  for (const chat of ["#slack", "#teams", "#discord"]) await shows(chat, "Please review: Add rate limits");
  assert.equal(await page.locator("#problems li").count(), 0);
  await page.locator("#save").click();
  await page.waitForFunction(() => document.getElementById("save").disabled);
  assert.match(readFileSync(opened, "utf8"), /Please review/);
  assert.match(await page.locator("#file").innerText(), /mine\/pull_request\.opened\.md\.hbs$/);
  await page.waitForFunction(() => document.querySelector("#template option:checked").text === "pull_request.opened (yours)");
  if (pictures) await page.screenshot({ path: join(pictures, "preview.png") });

  // What is not saved is there still when one comes back to it.
  await text.fill("+++\nline = 'not saved'\n+++\n");
  await page.locator("#template").selectOption("push");
  await page.waitForFunction(() => document.getElementById("text").value.includes("push.commits"));
  await page.locator("#template").selectOption("pull_request.opened");
  await page.waitForFunction(() => document.getElementById("text").value.includes("not saved"));
  await text.fill(readFileSync(opened, "utf8"));

  // In a narrow window nothing is beyond its edge.
  const size = page.viewportSize();
  await page.setViewportSize({ width: 600, height: 800 });
  const save = await page.locator("#save").boundingBox();
  assert.ok(save.x >= 0 && save.x + save.width <= 600, `Save is at ${save.x}`);
  await page.setViewportSize(size);

  // What is saved elsewhere shows here by itself; in the dark too.
  await page.locator("#theme").click();
  writeFileSync(opened, readFileSync(opened, "utf8").replace("Please review", "Who reviews"));
  for (const chat of ["#slack", "#teams", "#discord"]) await shows(chat, "Who reviews: Add rate limits");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).colorScheme), "dark");
  if (pictures) await page.screenshot({ path: join(pictures, "preview.dark.png") });

  // Another event, and a template that says nothing of it.
  await page.locator("#event").fill("pull_request.opened.draft");
  await page.locator("#event").blur();
  await page.waitForFunction(() => document.getElementById("line").innerText.includes("draft"));
  await text.fill("+++\nline = '{{skip \"not today\"}}'\n+++\n");
  await page.locator("#note", { hasText: "Skipped, nothing would be sent: not today" }).waitFor();

  // Hostile text stays text.
  await text.fill("+++\nline = 'x'\ntitle = '{{pull_request.title}}'\n+++\n<img src=x onerror=alert(1)> {{actor.name}}\n");
  await page.waitForFunction(() => document.getElementById("discord").innerText.includes("<img"));
  assert.equal(await page.locator("#shown img[src=x]").count(), 0);

  // Without the token nothing is to be had.
  const stranger = await browser.newPage();
  await stranger.goto(`${origin}/preview`);
  await stranger.locator("#note", { hasText: "missing or invalid token" }).waitFor();
  const policy = (await page.request.get(`${origin}/preview`)).headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'; script-src 'self';/);

  assert.deepEqual(faults, []);
  console.log("the preview page does what it should");
});

// Who is pinged is shown as the chats show it.
await withPreview(program, true, async ({ browser, address }) => {
  const page = await browser.newPage({ viewport: { width: 1400, height: 1560 } });
  await page.goto(address);
  await page.locator("#teams .mention", { hasText: "Bo Lindqvist" }).waitFor();
  await page.locator("#discord discord-mention[type=role]", { hasText: "165511591545143296" }).waitFor();
  await page.locator("#slack", { hasText: "U024BE7LH" }).waitFor();
});
