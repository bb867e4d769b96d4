// Draws samples as each chat shows them, light and dark, into the documentation's pictures:
//   node pictures.mjs [SAMPLE …]
// HOOKBELL names the program (default ../target/debug/hookbell), OUT another directory. With PEOPLE, named samples ping.
import { join } from "node:path";
import { withPreview } from "./browser.mjs";

const DRAWN = [
  "push", "pull_request.opened", "pull_request.changes_requested", "pull_request.comment_added.reply",
  "pull_request.approved", "pull_request.merged", "build.failed", "build.fixed",
];
/** Drawn where the configuration knows the reviewers, so that they are pinged. */
const PINGING = ["pull_request.ready"];

const program = process.env.HOOKBELL ?? "../target/debug/hookbell";
const out = process.env.OUT ?? "../docs/pictures";

/** Waits until the page's layout has not changed for some frames. */
async function settled() {
  let [height, frames] = [0, 0];
  while (frames < 10) {
    await new Promise((done) => requestAnimationFrame(done));
    const now = document.body.scrollHeight;
    [height, frames] = [now, now === height ? frames + 1 : 0];
  }
}

async function draw(samples, people) {
  await withPreview(program, people, async ({ browser, address }) => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await browser.newPage({ viewport: { width: 1344, height: 1200 }, deviceScaleFactor: 2, colorScheme });
      await page.goto(address);
      await page.waitForFunction(() => document.getElementById("line").innerText);
      for (const sample of samples) {
        // A family's template draws what has none of its own name.
        const options = await page.locator("#template option").evaluateAll((all) => all.map((option) => option.value));
        const template = options.filter((name) => sample.startsWith(name)).sort((one, other) => other.length - one.length)[0];
        await page.locator("#template").selectOption(template);
        const drawn = page.waitForResponse((response) => response.url().endsWith("/draw") && response.request().postData().includes(`"${sample}"`));
        await page.locator("#event").fill(sample);
        await page.locator("#event").dispatchEvent("change");
        await drawn;
        await page.evaluate(() => document.fonts.ready);
        await page.evaluate(settled);
        for (const chat of ["slack", "teams", "discord"]) {
          const name = `${sample}.${chat}${colorScheme === "dark" ? ".dark" : ""}.png`;
          await page.locator(`#${chat}`).screenshot({ path: join(out, name) });
          console.log(name);
        }
      }
      await page.close();
    }
  });
}

const named = process.argv.slice(2);
if (named.length > 0) {
  await draw(named, process.env.PEOPLE);
} else {
  await draw(DRAWN, false);
  await draw(PINGING, true);
}
