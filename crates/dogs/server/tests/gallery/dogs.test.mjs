// Fetching, viewing, renaming and removing dogs; other pages show the changes.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { gallery, launch, pictured } from "./support/browser.mjs";
import { Service } from "./support/service.mjs";

let service, browser;
before(async (context) => {
  service = await Service.start(context, { GRAFANA_URL: "http://grafana.test", METRICS_URL: "http://metrics.test/metrics" });
  browser = await launch(context);
});

const card = (page, name) => page.locator("#grid .card").filter({ hasText: name });

test("an empty gallery shows a notice, and then the first dog", async (t) => {
  const page = await gallery(t, browser, service);
  await page.getByText("No dogs here yet.").waitFor();
  await page.getByLabel("Breed", { exact: true }).selectOption("hound-afghan");
  await page.getByText("No Afghan Hound here yet.").waitFor();
  await page.getByRole("button", { name: "Fetch an image" }).click();
  await card(page, "Afghan Hound").waitFor();
  await pictured(page);
  assert.ok(page.url().endsWith("?breed=hound-afghan"));
  await page.locator("#announcement", { hasText: "Afghan Hound moved in." }).waitFor({ state: "attached" });
  assert.equal(await page.locator("#empty").isVisible(), false);
  const picked = page.locator("#breed option:checked");
  await page.waitForFunction(() => document.querySelector("#breed option:checked").textContent === "Afghan Hound (1)");
  assert.equal(await picked.textContent(), "Afghan Hound (1)");
});

test("an image is replaced by its thumbnail", async (t) => {
  const page = await gallery(t, browser, service);
  await page.getByLabel("Breed", { exact: true }).selectOption("pug");
  await page.getByRole("button", { name: "Fetch an image" }).click();
  await page.locator('#grid img[src*="variant=thumbnail"]').waitFor();
  await pictured(page);
});

test("a second tab shows changes immediately", async (t) => {
  const first = await gallery(t, browser, service);
  const second = await gallery(t, browser, service);
  await first.getByLabel("Breed", { exact: true }).selectOption("samoyed");
  await first.getByRole("button", { name: "Fetch an image" }).click();
  await card(second, "Samoyed").waitFor();
  await second.locator("#events li", { hasText: "Samoyed moved in" }).waitFor();
  await second.locator("#events li", { hasText: "Samoyed got a thumbnail" }).waitFor();
  await second.locator("#breed option", { hasText: "Samoyed (1)" }).waitFor({ state: "attached" });

  await card(first, "Samoyed").click();
  await first.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await card(second, "Samoyed").waitFor({ state: "detached" });
  await second.locator("#events li", { hasText: "Samoyed moved out" }).waitFor();
});

test("a late response does not show a deleted dog", async (t) => {
  const { id } = await service.call("GET", "/dogs/akita/image");
  const other = await service.call("GET", "/dogs/borzoi/image");
  const page = await gallery(t, browser, service);
  await card(page, "Akita").waitFor();
  const held = new Promise((resolve) => page.route(`**/api/v1/dogs/${id}`, async (route) => {
    const response = await route.fetch();
    resolve(() => route.fulfill({ response }));
  }));
  await service.rename(id, "Hachiko");
  const release = await held;
  await service.call("DELETE", `/dogs/${id}`);
  await page.locator("#events li", { hasText: "moved out" }).waitFor();
  await card(page, "Akita").waitFor({ state: "detached" });
  const answered = page.waitForResponse((response) => response.url().endsWith(id));
  await release();
  await (await answered).finished();
  // A later response is processed after it.
  await service.rename(other.id, "Laska");
  await card(page, "Laska").waitFor();
  assert.equal(await card(page, "Hachiko").count(), 0);

  // A dog that an import creates again is shown.
  const again = await fetch(`${service.url}/api/v1/dogs/import`, {
    method: "POST", headers: { "content-type": "application/x-ndjson", "idempotency-key": id },
    body: JSON.stringify({ id, breed: "akita", name: "Hachiko" }),
  });
  assert.equal(again.status, 200);
  await page.locator("#events li", { hasText: "1 dog imported" }).waitFor();
  await page.getByLabel("Breed", { exact: true }).selectOption("akita");
  await card(page, "Hachiko").waitFor();
});

test("an image is uploaded with its name", async (t) => {
  const { id } = await service.call("GET", "/dogs/beagle/image");
  const image = await (await fetch(`${service.url}/api/v1/dogs/${id}/photo`)).arrayBuffer();
  const page = await gallery(t, browser, service, { path: "/?breed=beagle" });
  await page.getByText("up to 10 MB. It joins: Beagle.").waitFor();
  await page.getByLabel("Add your own dog").setInputFiles({ name: "rex.jpg", mimeType: "image/jpeg", buffer: Buffer.from(image) });
  await page.getByPlaceholder("Name, if it has one").fill("Rex <b>the</b> Brave");
  await page.getByRole("button", { name: "Upload" }).click();
  const rex = card(page, "Rex <b>the</b> Brave");
  await rex.waitFor();
  await pictured(page);
  // The card can come with its event, before the answer to the upload does.
  const name = await page.getByPlaceholder("Name, if it has one").elementHandle();
  await page.waitForFunction((input) => input.value === "", name);
  const { items } = await service.call("GET", "/dogs?breed=beagle");
  assert.equal(items.filter((dog) => dog.name === "Rex <b>the</b> Brave" && dog.image_url).length, 1);
});

test("a dog is renamed, and a concurrent change is reported", async (t) => {
  const { id } = await service.call("GET", "/dogs/boxer/image");
  const page = await gallery(t, browser, service);
  await card(page, "Boxer").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Balto");
  await dialog.getByRole("button", { name: "Rename" }).click();
  await dialog.getByRole("heading", { name: "Balto" }).waitFor();
  await card(page, "Balto").waitFor();

  await service.rename(id, "Togo");
  await card(page, "Togo").waitFor();
  await dialog.getByLabel("Name").fill("Balto again");
  page.removeAllListeners("console"); // the browser reports the 412 as an error
  await dialog.getByRole("button", { name: "Rename" }).click();
  await dialog.getByRole("alert").filter({ hasText: "has been changed by someone else" }).waitFor();
});

test("pages are loaded one by one, without duplicates", async (t) => {
  for (let number = 0; number < 60; number += 1) await service.call("POST", "/dogs", { breed: "dingo", name: `Dingo ${number}` });
  const page = await gallery(t, browser, service, { path: "/?breed=dingo" });
  await page.waitForFunction(() => document.querySelectorAll("#grid .card").length === 48);
  await page.getByRole("button", { name: "Show more" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#grid .card").length === 60);
  assert.equal(await page.getByRole("button", { name: "Show more" }).isVisible(), false);
  const names = await page.locator("#grid strong").allTextContents();
  assert.deepEqual(names, Array.from({ length: 60 }, (_, index) => `Dingo ${59 - index}`));
});

test("the strip shows the backends and the links", async (t) => {
  const page = await gallery(t, browser, service);
  await page.getByText("Ready", { exact: true }).waitFor();
  const entries = await page.locator("#backends > div").allInnerTexts();
  const texts = entries.map((entry) => entry.replace(/\s+/g, " "));
  for (const [index, expected] of ["Store SQLite", "Broker in memory", "Cache in memory", "Objects folder"].entries()) {
    assert.ok(texts[index].startsWith(expected) && texts[index].includes("up"), texts[index]);
  }
  const links = await page.getByRole("navigation").getByRole("link").evaluateAll((all) => all.map((link) => [link.textContent, link.getAttribute("href")]));
  assert.deepEqual(links, [["API docs", "documentation/"], ["Metrics", "http://metrics.test/metrics"], ["Grafana", "http://grafana.test"]]);
});
