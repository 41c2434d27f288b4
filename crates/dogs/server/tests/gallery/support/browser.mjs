// Chromium, and pages whose complaints fail the test.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const PATIENCE = 60_000;

/** A browser with a profile of its own; it is gone after the test file. */
export async function launch(context) {
  const browser = await chromium.launch({ executablePath: process.env.TEST_CHROMIUM, args: FLAGS });
  context.after(() => browser.close());
  return browser;
}

/** What pages complained of: violations of the policy, errors of scripts, and what the console calls an error. */
function listen(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`script: ${error.stack}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  return complaints;
}

/** A page in a window of its own. After the test it must not have complained of anything but what `but` matches. */
export async function tab(test, browser, url, { but = /^$/, ...options } = {}) {
  const context = await browser.newContext({ reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC", ...options });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy: ${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`);
  }));
  const page = await context.newPage();
  const complaints = listen(page);
  test.after(async () => {
    await context.close();
    assert.deepEqual(complaints.filter((complaint) => !but.test(complaint)), []);
  });
  await page.goto(url);
  return page;
}

/** The gallery in a window of its own, connected and with its dogs read. */
export async function gallery(test, browser, service, { path = "/", ...options } = {}) {
  const page = await tab(test, browser, service.url + path, options);
  await settled(page);
  return page;
}

/** Waits until the gallery shows what there is and follows the events. */
export async function settled(page) {
  await page.locator("#grid:not([aria-busy])").waitFor({ state: "attached" });
  await page.locator("#live.up").waitFor({ state: "attached" });
  await page.locator("#health.up").waitFor();
}

/** Fails when axe finds anything to complain of. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.ok(passes.length > 10, "axe has looked at the page");
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, [], what);
}

/** Waits until every picture in sight is there. */
export const pictured = (page) => page.waitForFunction(() => {
  const images = [...document.querySelectorAll("#grid img, dialog[open] img:not([hidden])")];
  const seen = images.filter((image) => image.getBoundingClientRect().top < innerHeight);
  return seen.length > 0 && seen.every((image) => image.complete && image.naturalWidth > 0);
});

/** How much wider the content is than the window, in pixels. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
