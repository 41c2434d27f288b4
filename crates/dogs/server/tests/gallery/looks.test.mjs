// Colour schemes, screen sizes and accessibility.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { assertAccessible, gallery, launch, overflow, pictured, tab } from "./support/browser.mjs";
import { Service } from "./support/service.mjs";

const WIDTHS = [320, 390, 768, 1280, 1920];

let service, browser;
before(async (context) => {
  service = await Service.start(context, { GRAFANA_URL: "http://grafana.test", METRICS_URL: "http://metrics.test/metrics" });
  browser = await launch(context);
  await service.fetchAll(["husky", "pug", "pug", "hound-afghan", "terrier-westhighland", "samoyed", "retriever-flatcoated"]);
  await service.call("POST", "/dogs", { breed: "mix", name: "A dog whose name is as long as a name may be, and then a bit ".padEnd(100, "x") });
});

for (const colorScheme of ["light", "dark"]) {
  for (const [device, viewport] of [["desk", { width: 1280, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
    test(`axe finds nothing: ${colorScheme}, ${device}`, async (t) => {
      const page = await gallery(t, browser, service, { colorScheme, viewport });
      await service.call("POST", "/dogs", { breed: "dingo", name: `${colorScheme} ${device}` });
      await page.locator("#events li").first().waitFor();
      await pictured(page);
      await assertAccessible(page, "the grid");
      if (device === "phone") await page.getByRole("button", { name: "Add your own dog" }).click();
      await page.getByRole("button", { name: "Upload" }).click();
      await page.locator("#upload-message").waitFor();
      await assertAccessible(page, "an error");
      await page.locator("#grid .card", { hasText: "Samoyed" }).click();
      await page.getByRole("dialog").waitFor();
      await assertAccessible(page, "the viewer");
      await page.keyboard.press("Escape");
      await page.locator("#breed").selectOption("kuvasz");
      await page.getByText("No Kuvasz here yet.").waitFor();
      await assertAccessible(page, "no dogs");
    });
  }
}

test("the page is light or dark as the system is", async (t) => {
  const page = await gallery(t, browser, service, { colorScheme: "light" });
  const brightness = () => page.evaluate(() => {
    const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    return (red + green + blue) / 3;
  });
  assert.ok((await brightness()) > 230);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.ok((await brightness()) < 40);
});

test("no width needs sideways scrolling", async (t) => {
  const page = await gallery(t, browser, service);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 844 });
    assert.equal(await overflow(page), 0, `${width} pixels`);
    await page.locator("#grid .card", { hasText: "A dog whose name" }).click();
    await page.getByRole("dialog").waitFor();
    const box = await page.getByRole("dialog").boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= width, `the viewer at ${width} pixels`);
    assert.equal(await page.getByRole("dialog").evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth), 0);
    await page.keyboard.press("Escape");
  }
});

test("a backend that is down is shown as text, and the service as degraded", async (t) => {
  const page = await tab(t, browser, "about:blank");
  const status = await (await fetch(`${service.url}/api/v1/status`)).json();
  const checks = status.checks.map((check) => (check.name === "cache" ? { ...check, status: "down" } : check));
  const json = { ...status, backends: { ...status.backends, cache: "redis" }, checks };
  await page.route("**/api/v1/status", (route) => route.fulfill({ json }));
  await page.goto(service.url);
  await page.getByText("Ready, degraded").waitFor();
  const cache = page.locator("#backends > div", { hasText: "Cache" });
  assert.match((await cache.innerText()).replace(/\s+/g, " "), /Cache Redis down/);
  await assertAccessible(page, "a backend that is down");
});

test("the browser blocks text as markup or code", async (t) => {
  const page = await gallery(t, browser, service, { but: /^(policy|console): / });
  const blocked = await page.evaluate(() => {
    const script = document.createElement("script");
    const attempts = {
      markup: () => { document.body.innerHTML += "<img src=x>"; },
      address: () => { script.src = "data:text/javascript,globalThis.broken=1"; },
      text: () => { script.text = "globalThis.broken=1"; },
    };
    const fails = (attempt) => { try { attempt(); return false; } catch { return true; } };
    return Object.keys(attempts).filter((name) => fails(attempts[name]));
  });
  assert.deepEqual(blocked, ["markup", "address", "text"]);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
});

test("the documentation works under its own policy", async (t) => {
  const page = await tab(t, browser, `${service.url}/documentation/`);
  await page.getByRole("heading", { name: /dogs|kennel/i }).first().waitFor();
  await page.getByText("/api/v1/breeds", { exact: false }).first().click();
  await page.getByRole("button", { name: "Execute" }).click();
  await page.locator(".responses-table.live-responses-table").getByText("200").first().waitFor();
});
