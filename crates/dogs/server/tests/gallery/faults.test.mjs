// What goes wrong is said: by the service, by its source, by the file, by the network.

import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { gallery, launch, settled } from "./support/browser.mjs";
import { Service, brokenUpstream } from "./support/service.mjs";

// The browser itself reports answers of 400 and more, and connections that fail.
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

test("a fault of the service's source is told where it was asked for, and goes with the next try", async (t) => {
  const upstream = await brokenUpstream(t);
  const service = await Service.start(t, { DOG_API_BASE_URL: upstream, DOG_API_ALLOW_PRIVATE: "true", DOG_API_TIMEOUT: "2s" });
  const page = await gallery(t, browser, service, { but: REPORTED });
  await page.locator('#breed option[value="husky"]').waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Fetch a picture" }).click();
  const alert = page.locator("#fetch-message");
  await alert.filter({ hasText: /\(50[23]\)|try again/i }).waitFor();
  assert.match(await alert.textContent(), /^[A-Z].*\.$/);
  assert.equal(await alert.getAttribute("role"), "alert");
  assert.equal(await page.getByRole("button", { name: "Fetch a picture" }).getAttribute("aria-disabled"), null);
  assert.equal(await page.locator("#offline").isVisible(), false);
});

test("a file that is no picture is refused, and its dog does not stay", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  const [input, alert, upload] = [page.getByLabel("Add your own dog"), page.locator("#upload-message"), page.getByRole("button", { name: "Upload" })];
  await upload.click();
  await alert.filter({ hasText: "Choose a picture first." }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "file");

  await input.setInputFiles(file("notes.png", Buffer.from("not a picture at all")));
  await upload.click();
  await alert.filter({ hasText: /picture/i }).waitFor();
  await page.locator("#events li", { hasText: "moved out" }).waitFor();
  assert.deepEqual((await service.call("GET", "/dogs")).items, []);

  await input.setInputFiles(file("empty.png", Buffer.alloc(0)));
  await alert.filter({ hasText: "“empty.png” is empty." }).waitFor();
});

test("a file that is too large is told before it is sent, and by the service if it is sent all the same", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  const large = await largeFile(t);
  let sent = 0;
  page.on("request", (request) => { if (request.method() === "PUT") sent += 1; });
  await page.getByLabel("Add your own dog").setInputFiles(large);
  await page.locator("#upload-message", { hasText: "“large.jpg” has 30 MB; a picture may have up to 10 MB." }).waitFor();
  await page.getByRole("button", { name: "Upload" }).click();
  await page.locator("#upload-message", { hasText: "may have up to 10 MB." }).waitFor();
  assert.equal(sent, 0);

  // The page knows of a limit that is no longer the service's.
  const told = await (await fetch(`${service.url}/api/v1/status`)).json();
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...told, max_picture_bytes: 64 * 1024 * 1024 } }));
  await page.reload();
  await settled(page);
  await page.getByText("up to 64 MB").waitFor();
  await page.getByLabel("Add your own dog").setInputFiles(large);
  await page.getByRole("button", { name: "Upload" }).click();
  await page.locator("#upload-message", { hasText: "The image is larger than 10485760 bytes." }).waitFor();
  assert.equal(sent, 1);
  assert.equal(await page.locator("#offline").isVisible(), false);
});

test("a service that goes away is missed, and what happened meanwhile is told when it is back", async (t) => {
  const service = await Service.start(t);
  const page = await gallery(t, browser, service, { but: REPORTED });
  await service.call("POST", "/dogs", { breed: "husky", name: "Before" });
  await page.locator("#events li", { hasText: "Before moved in" }).waitFor();

  await service.stop();
  await page.getByRole("alert").filter({ hasText: "The service does not answer." }).waitFor();
  await page.getByText("reconnecting…").waitFor();
  await page.getByText("No answer", { exact: true }).waitFor();
  assert.equal(await page.locator("#parts .up").count(), 0);
  await page.locator("#grid .card", { hasText: "Before" }).waitFor();
  await page.getByRole("button", { name: "Fetch a picture" }).click();
  await page.locator("#fetch-message", { hasText: "The service does not answer." }).waitFor();

  await service.run("fetch", "pug");
  await service.start();
  await settled(page);
  assert.equal(await page.locator("#offline").isVisible(), false);
  await page.locator("#grid .card", { hasText: "Pug" }).waitFor();
  await page.locator("#events li", { hasText: "Pug moved in" }).waitFor();
  assert.equal(await page.locator("#events li", { hasText: "Before moved in" }).count(), 1);
});

test("a browser that loses the network says so and recovers", async (t) => {
  const service = await Service.start(t);
  await service.call("POST", "/dogs", { breed: "husky" });
  const page = await gallery(t, browser, service, { but: REPORTED });
  await page.context().setOffline(true);
  await page.locator("#offline").waitFor();
  await page.context().setOffline(false);
  await page.locator("#offline").waitFor({ state: "hidden" });
  await settled(page);
});

test("dogs that cannot be read are not taken for none", async (t) => {
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
  await failed.filter({ hasText: "The dogs could not be read: Internal Server Error (500)" }).waitFor();
  assert.match(await failed.textContent(), /log tells more under r-1/);
  assert.equal(await page.locator("#empty").isVisible(), false);
  failing = false;
  await failed.getByRole("button", { name: "Try again" }).click();
  await page.getByText("No dogs here yet.").waitFor();
  assert.equal(await failed.isVisible(), false);
});

test("while dogs are read, places are held for them", async (t) => {
  const service = await Service.start(t);
  const page = await browser.newPage();
  t.after(() => page.close());
  let answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await page.route("**/api/v1/dogs?*", async (route) => { await held; await route.continue(); });
  await page.goto(service.url);
  await page.locator('#grid[aria-busy="true"] .place').first().waitFor();
  assert.equal(await page.locator("#empty").isVisible(), false);
  answer();
  await page.getByText("No dogs here yet.").waitFor();
  assert.equal(await page.locator(".place").count(), 0);
});
