// All actions work without a mouse, and the focus is never lost.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { gallery, launch } from "./support/browser.mjs";
import { Service } from "./support/service.mjs";

let service, browser;
before(async (context) => {
  service = await Service.start(context);
  browser = await launch(context);
  await service.fetchAll(["pug", "husky"]);
});

const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  return element.id || element.closest("[data-id]")?.querySelector("strong").textContent || element.textContent.trim();
});

test("the tab key visits the page in order", async (t) => {
  const page = await gallery(t, browser, service);
  await page.locator("#chips button").first().waitFor();
  const order = [];
  for (let stop = 0; stop < 14; stop += 1) {
    await page.keyboard.press("Tab");
    order.push(await focused(page));
    const visible = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none");
    assert.ok(visible, `the focus is visible on ${order.at(-1)}`);
  }
  assert.deepEqual(order, [
    "Skip to the dogs", "Kennel", "API docs", "breed", "Fetch an image", "file", "name", "Upload",
    "All 2", "Husky 1", "Pug 1", "Husky", "Pug", "log",
  ]);
});

test("the skip link leads past the forms", async (t) => {
  const page = await gallery(t, browser, service);
  await page.locator("#chips button").first().waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "dogs");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "All 2");
});

test("an image is fetched, viewed, renamed and removed with the keyboard", async (t) => {
  const page = await gallery(t, browser, service);
  await page.locator("#breed option[value=samoyed]").waitFor({ state: "attached" });
  await page.locator("#breed").focus();
  await page.keyboard.type("Samoyed");
  await page.getByRole("heading", { name: "Samoyed" }).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#grid .card", { hasText: "Samoyed" }).waitFor();
  await page.locator("#announcement", { hasText: "Samoyed moved in." }).waitFor({ state: "attached" });
  assert.equal(await focused(page), "Fetch an image");

  await page.locator("#events li", { hasText: "Samoyed got a thumbnail" }).waitFor();
  await page.locator("#grid .card").first().focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Samoyed" });
  await dialog.waitFor();
  assert.equal(await focused(page), "viewer-title");
  await page.keyboard.press("Tab");
  await page.keyboard.type("Laika");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Laika" }).waitFor();
  await page.locator("#events li", { hasText: "changed" }).waitFor();
  assert.equal(await focused(page), "rename-name");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.equal(await focused(page), "Laika");

  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Laika" }).waitFor();
  for (const key of ["Tab", "Tab", "Tab"]) await page.keyboard.press(key);
  assert.equal(await focused(page), "remove");
  await page.keyboard.press("Enter");
  await page.locator("#viewer").waitFor({ state: "hidden" });
  await page.locator("#grid .card", { hasText: "Laika" }).waitFor({ state: "detached" });
  assert.equal(await focused(page), "dogs");
});

test("an event does not take the focus from a card", async (t) => {
  const page = await gallery(t, browser, service);
  const { items: [dog] } = await service.call("GET", "/dogs?breed=husky");
  const card = page.locator(`[data-id="${dog.id}"] .card`);
  await card.focus();
  await service.rename(dog.id, "Focus");
  await card.filter({ hasText: "Focus" }).waitFor();
  assert.equal(await focused(page), "Focus");
});
