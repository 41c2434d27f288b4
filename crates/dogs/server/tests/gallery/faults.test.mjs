// Errors are shown: of the service, its source, the file and the network.

import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { gallery, launch, settled } from "./support/browser.mjs";
import { Service, brokenUpstream } from "./support/service.mjs";

// The browser itself reports responses of 400 and more, and failed connections.
const REPORTED = /Failed to load resource|net::ERR_/;

let browser;
before(async (context) => {
  browser = await launch(context);
});

async function largeFile(context) {
  const folder = await mkdtemp(join(tmpdir(), "gallery-"));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "large.jpg");
  await writeFile(path, "");
  await truncate(path, 30 * 1024 * 1024);
  return path;
}

const file = (name, buffer, mimeType = "image/png") => ({ name, mimeType, buffer });

test("an error of the source is shown next to its button", async (t) => {
  const upstream = await brokenUpstream(t);
  const service = await Service.start(t, { DOG_API_BASE_URL: upstream, DOG_API_ALLOW_PRIVATE: "true", DOG_API_TIMEOUT: "2s" });
  const page = await gallery(t, browser, service, { but: REPORTED });
  await page.locator('#breed option[value="husky"]').waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Fetch an image" }).click();
  const alert = page.locator("#fetch-message");
  await alert.filter({ hasText: /\(50[23]\)|try again/i }).waitFor();
  assert.match(await alert.textContent(), /^[A-Z].*\.$/);
  assert.equal(await alert.getAttribute("role"), "alert");
  assert.equal(await page.getByRole("button", { name: "Fetch an image" }).getAttribute("aria-disabled"), null);
  assert.equal(await page.locator("#offline").isVisible(), false);
});

test("a file that is not an image is rejected, and its dog is removed", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  const [input, alert, upload] = [page.getByLabel("Add your own dog"), page.locator("#upload-message"), page.getByRole("button", { name: "Upload" })];
  await upload.click();
  await alert.filter({ hasText: "Choose an image first." }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "file");

  await input.setInputFiles(file("notes.png", Buffer.from("not an image at all")));
  await upload.click();
  await alert.filter({ hasText: /image/i }).waitFor();
  await page.locator("#events li", { hasText: "moved out" }).waitFor();
  assert.deepEqual((await service.call("GET", "/dogs")).items, []);

  await input.setInputFiles(file("empty.png", Buffer.alloc(0)));
  await alert.filter({ hasText: "“empty.png” is empty." }).waitFor();
});

test("a file that is too large is rejected before the upload, and by the service", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  const large = await largeFile(t);
  let sent = 0;
  page.on("request", (request) => { if (request.method() === "PUT") sent += 1; });
  await page.getByLabel("Add your own dog").setInputFiles(large);
  await page.locator("#upload-message", { hasText: "“large.jpg” has 30 MB; the limit is 10 MB." }).waitFor();
  await page.getByRole("button", { name: "Upload" }).click();
  await page.locator("#upload-message", { hasText: "the limit is 10 MB." }).waitFor();
  assert.equal(sent, 0);

  // The page has an outdated limit.
  const status = await (await fetch(`${service.url}/api/v1/status`)).json();
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...status, max_image_bytes: 64 * 1024 * 1024 } }));
  await page.reload();
  await settled(page);
  await page.getByText("up to 64 MB").waitFor();
  await page.getByLabel("Add your own dog").setInputFiles(large);
  await page.getByRole("button", { name: "Upload" }).click();
  await page.locator("#upload-message", { hasText: "The image is larger than 10485760 bytes." }).waitFor();
  assert.equal(sent, 1);
  assert.equal(await page.locator("#offline").isVisible(), false);
});

test("an unreachable service is shown, and its later events when it is back", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  await service.call("POST", "/dogs", { breed: "husky", name: "Before" });
  await page.locator("#events li", { hasText: "Before moved in" }).waitFor();

  await service.stop();
  await page.getByRole("alert").filter({ hasText: "The service does not respond." }).waitFor();
  await page.getByText("reconnecting…").waitFor();
  await page.getByText("Unreachable", { exact: true }).waitFor();
  assert.equal(await page.locator("#backends .up").count(), 0);
  await page.locator("#grid .card", { hasText: "Before" }).waitFor();
  await page.getByRole("button", { name: "Fetch an image" }).click();
  await page.locator("#fetch-message", { hasText: "The service does not respond." }).waitFor();

  await service.run("fetch", "pug");
  await service.start();
  await settled(page);
  assert.equal(await page.locator("#offline").isVisible(), false);
  await page.locator("#grid .card", { hasText: "Pug" }).waitFor();
  await page.locator("#events li", { hasText: "Pug moved in" }).waitFor();
  assert.equal(await page.locator("#events li", { hasText: "Before moved in" }).count(), 1);
});

test("a browser that is offline shows it and recovers", async (t) => {
  const service = await Service.start(t);
  await service.call("POST", "/dogs", { breed: "husky" });
  const page = await gallery(t, browser, service, { but: REPORTED });
  await page.context().setOffline(true);
  await page.locator("#offline").waitFor();
  await page.context().setOffline(false);
  await page.locator("#offline").waitFor({ state: "hidden" });
  await settled(page);
});

test("a failure to load dogs is not shown as no dogs", async (t) => {
  const service = await Service.start(t);
  let failing = true;
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.route("**/api/v1/dogs?*", async (route) => {
    if (!failing) return route.continue();
    return route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify({ title: "Internal Server Error", request_id: "r-1" }) });
  });
  await page.goto(service.url);
  const failed = page.locator("#failed");
  await failed.filter({ hasText: "The dogs could not be loaded: Internal Server Error (500)" }).waitFor();
  assert.match(await failed.textContent(), /log of the service has the details of request r-1/);
  assert.equal(await page.locator("#empty").isVisible(), false);
  failing = false;
  await failed.getByRole("button", { name: "Try again" }).click();
  await page.getByText("No dogs here yet.").waitFor();
  assert.equal(await failed.isVisible(), false);
});

test("placeholders are shown while dogs are loaded", async (t) => {
  const service = await Service.start(t);
  const page = await browser.newPage();
  t.after(() => page.close());
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/api/v1/dogs?*", async (route) => { await held; await route.continue(); });
  await page.goto(service.url);
  await page.locator('#grid[aria-busy="true"] .placeholder').first().waitFor();
  assert.equal(await page.locator("#empty").isVisible(), false);
  release();
  await page.getByText("No dogs here yet.").waitFor();
  assert.equal(await page.locator(".placeholder").count(), 0);
});
