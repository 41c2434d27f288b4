// The page of gif-api: search, grid, reduced motion, attribution, and how old an answer is.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { before, test } from "node:test";
import { assertAccessible, launch, overflow, tab } from "../../../../dogs/server/tests/gallery/support/browser.mjs";
import { Service, eventually } from "../../../../dogs/server/tests/gallery/support/service.mjs";

/** Ports that are free; all are reserved before the first one is released. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => String(server.address().port));
  await Promise.all(servers.map((server) => { server.close(); return once(server, "close"); }));
  return ports;
}

let service, browser;
before(async (context) => {
  const [api, catalogue, media, files] = await freePorts(4);
  const variables = {
    GIF_API_SERVER_PORT: api, GIF_STORAGE_SERVER_PORT: files, GIF_STORAGE_GRPC_PORT: catalogue, GIF_FILES_GRPC_PORT: media,
    CATALOGUE_GRPC_URL: `http://127.0.0.1:${catalogue}`, MEDIA_GRPC_URL: `http://127.0.0.1:${media}`,
    GIF_DOWNLOAD_ALLOW_PRIVATE: "true",
  };
  service = await Service.start(context, variables, { program: process.env.GIF_PIPELINE, component: "gif-api.http" });
  browser = await launch(context);
  // Images that are not stored yet would be errors in the console.
  const stored = async (path) => {
    const { items } = await service.call("GET", path);
    const states = await Promise.all(items.map((gif) => service.call("GET", `/gifs/${gif.id}`)));
    return items.length > 0 && states.every((gif) => gif.state === "stored");
  };
  const { next } = await service.call("GET", "/gifs/trending");
  for (const path of ["/gifs/trending", `/gifs/trending?cursor=${next}`, "/gifs/search?q=cat"]) {
    await eventually(`${path} is stored`, () => stored(path));
  }
});

const images = (page) => page.locator("#gifs img");
const addresses = (page) => images(page).evaluateAll((found) => found.map((image) => new URL(image.src).search));
const shown = (page, text) => page.locator("#status", { hasText: text }).waitFor();

async function search(page, text) {
  await page.getByRole("searchbox", { name: "Search for GIFs" }).fill(text);
  await page.getByRole("button", { name: "Search" }).click();
}

test("a search fills the grid, with attribution, and says what is from the cache", async (t) => {
  const page = await tab(t, browser, service.url);
  await shown(page, "25 GIFs of local");
  await search(page, "dance");
  await shown(page, /^\d+ GIFs of local; new$/);
  const count = await images(page).count();
  assert.ok(count > 0);
  assert.equal(await page.locator("#gifs figcaption span", { hasText: "Drawn by Kennel" }).count(), count);
  assert.equal(await page.locator("#attribution").innerText(), "Drawn by Kennel");
  assert.equal(new URL(page.url()).search, "?q=dance");
  await page.reload();
  await shown(page, /from the cache, \d+ s old$/);
  assert.equal(await images(page).count(), count);
  await page.goBack();
  await shown(page, "25 GIFs of local");
});

test("a page is continued", async (t) => {
  const page = await tab(t, browser, service.url);
  await shown(page, "25 GIFs");
  await page.getByRole("button", { name: "More" }).click();
  await shown(page, "32 GIFs");
  assert.equal(await page.getByRole("button", { name: "More" }).count(), 0);
});

test("animations are played", async (t) => {
  const page = await tab(t, browser, `${service.url}/?q=cat`, { reducedMotion: "no-preference" });
  await shown(page, "GIFs of local");
  assert.ok((await addresses(page)).every((query) => query === "?variant=small"));
  assert.equal(await page.getByRole("button", { name: "Play" }).count(), 0);
});

test("with reduced motion, an animation is played only when it is asked for", async (t) => {
  const page = await tab(t, browser, `${service.url}/?q=cat`);
  await shown(page, "GIFs of local");
  assert.ok((await addresses(page)).every((query) => query === "?variant=poster"));
  await page.getByRole("button", { name: "Play" }).first().click();
  assert.equal((await addresses(page))[0], "?variant=small");
  await page.waitForFunction(() => document.querySelector("#gifs img").naturalWidth > 0);
  await page.getByRole("button", { name: "Stop" }).click();
  assert.equal((await addresses(page))[0], "?variant=poster");
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await page.waitForFunction(() => document.querySelector("#gifs img").src.endsWith("variant=small"));
});

test("an answer from the time before an outage is marked", async (t) => {
  const page = await tab(t, browser, `${service.url}/?q=cat`);
  await shown(page, "GIFs of local");
  await page.route("**/gifs/search?*", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), "x-cache": "stale", age: "99" } });
  });
  await page.reload();
  await shown(page, "from the cache, 99 s old: no provider answers");
});

test("nothing found, and a failure", async (t) => {
  const page = await tab(t, browser, service.url, { but: /^console: Failed to load resource.*503/ });
  await search(page, "qqzzy");
  await shown(page, "Nothing was found.");
  assert.equal(await images(page).count(), 0);
  const problem = { type: "about:blank", title: "Service Unavailable", status: 503, code: "unavailable", detail: "no provider answers" };
  await page.route("**/gifs/search?*", (route) => route.fulfill({ status: 503, json: problem }));
  await search(page, "dog");
  await shown(page, "That did not work: no provider answers");
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing: ${colorScheme}`, async (t) => {
    const page = await tab(t, browser, `${service.url}/?q=cat`, { colorScheme });
    await shown(page, "GIFs of local");
    await assertAccessible(page, "the grid");
  });
}

test("no width needs sideways scrolling", async (t) => {
  const page = await tab(t, browser, service.url);
  await shown(page, "25 GIFs");
  for (const width of [320, 390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 844 });
    assert.equal(await overflow(page), 0, `${width} pixels`);
  }
});
