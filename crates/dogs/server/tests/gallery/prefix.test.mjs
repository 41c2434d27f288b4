// The service behind a proxy that adds a path prefix: the gallery and the API page stay below it.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { gallery, launch, pictured, settled, tab } from "./support/browser.mjs";
import { prefixProxy } from "./support/proxy.mjs";
import { Service } from "./support/service.mjs";

let proxy, service, browser;
before(async (context) => {
  proxy = await prefixProxy(context, "/kennel");
  service = await Service.start(context, { PUBLIC_URL: `${proxy.url}/` });
  proxy.target = service.url;
  browser = await launch(context);
});

const card = (page, name) => page.locator("#grid .card").filter({ hasText: name });

test("the gallery works below its prefix", async (t) => {
  const page = await gallery(t, browser, proxy);
  await page.getByLabel("Breed", { exact: true }).selectOption("samoyed");
  await page.getByRole("button", { name: "Fetch an image" }).click();
  await card(page, "Samoyed").waitFor();
  await page.locator('#grid img[src*="variant=thumbnail"]').waitFor();
  await pictured(page);
  await page.locator("#events li", { hasText: "Samoyed got a thumbnail" }).waitFor();
  assert.equal(page.url(), `${proxy.url}/?breed=samoyed`);

  await card(page, "Samoyed").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Balto");
  await dialog.getByRole("button", { name: "Rename" }).click();
  await dialog.getByRole("heading", { name: "Balto" }).waitFor();
  await pictured(page);
  await dialog.getByRole("button", { name: "Close" }).click();

  await page.getByRole("link", { name: "Kennel" }).click();
  await settled(page);
  assert.equal(page.url(), `${proxy.url}/`);
  await page.getByRole("link", { name: "API docs" }).click();
  await page.waitForURL(`${proxy.url}/documentation/`);
  assert.deepEqual(proxy.strays, []);
});

test("links in responses are below the prefix", async () => {
  const created = await fetch(`${proxy.url}/api/v1/dogs`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ breed: "akita" }),
  });
  const { id } = await created.json();
  assert.equal(created.headers.get("location"), `${proxy.url}/api/v1/dogs/${id}`);
  const page = await fetch(`${proxy.url}/api/v1/dogs?limit=1`);
  assert.ok(page.headers.get("link").startsWith(`<${proxy.url}/api/v1/dogs?`), page.headers.get("link"));
  const { image_url: image } = await (await fetch(`${proxy.url}/api/v1/dogs/pug/image`)).json();
  assert.equal((await fetch(image)).status, 200);
});

test("the same gallery works at the service's own address", async (t) => {
  await service.call("GET", "/dogs/boxer/image");
  const page = await gallery(t, browser, service);
  await card(page, "Boxer").waitFor();
  await pictured(page);
});

test("the page of the API calls below the prefix", async (t) => {
  for (const path of ["/swagger", "/documentation"]) {
    const page = await tab(t, browser, proxy.url + path);
    assert.equal(page.url(), `${proxy.url}/documentation/`);
    await page.getByText("/api/v1/breeds", { exact: false }).first().click();
    const called = page.waitForResponse(`${proxy.url}/api/v1/breeds`);
    await page.getByRole("button", { name: "Execute" }).click();
    assert.equal((await called).status(), 200);
    await page.locator(".responses-table.live-responses-table").getByText("200").first().waitFor();
  }
  assert.deepEqual(proxy.strays, []);
});
