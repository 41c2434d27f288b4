// Chromium, and pages whose errors fail the test.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const TEST_TIMEOUT = 60_000;

/** A browser with its own profile; it is closed after the test file. */
export async function launch(context) {
  const browser = await chromium.launch({ executablePath: process.env.TEST_CHROMIUM, args: FLAGS });
  context.after(() => browser.close());
  return browser;
}

/** Collects the errors of a page: policy violations, script errors and console errors. */
function listen(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(`script: ${error.stack}`));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`console: ${message.text()} (${message.location().url})`);
  });
  return errors;
}

/** A page in its own window. After the test, all of its errors must match `but`. */
export async function tab(test, browser, url, { but = /^$/, ...options } = {}) {
  const context = await browser.newContext({ reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC", ...options });
  context.setDefaultTimeout(TEST_TIMEOUT);
  await context.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy: ${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`);
  }));
  const page = await context.newPage();
  const errors = listen(page);
  test.after(async () => {
    await context.close();
    assert.deepEqual(errors.filter((error) => !but.test(error)), []);
  });
  await page.goto(url);
  return page;
}

/** The gallery in its own window, connected and with its dogs loaded. */
export async function gallery(test, browser, service, { path = "/", ...options } = {}) {
  const page = await tab(test, browser, service.url + path, options);
  await settled(page);
  return page;
}

/** Waits until the gallery has loaded the dogs and receives events. */
export async function settled(page) {
  await page.locator("#grid:not([aria-busy])").waitFor({ state: "attached" });
  await page.locator("#live.up").waitFor({ state: "attached" });
  await page.locator("#health.up").waitFor();
}

/** Fails when axe finds a violation. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.ok(passes.length > 10, "axe has checked the page");
  const messages = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(messages, [], what);
}

/** Waits until every visible image is loaded. */
export const pictured = (page) => page.waitForFunction(() => {
  const images = [...document.querySelectorAll("#grid img, dialog[open] img:not([hidden])")];
  const seen = images.filter((image) => image.getBoundingClientRect().top < innerHeight);
  return seen.length > 0 && seen.every((image) => image.complete && image.naturalWidth > 0);
});

/** How much wider the content is than the window, in pixels. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
