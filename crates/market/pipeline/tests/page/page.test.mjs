// The page of analytics-api: live candles, keyboard, table, reduced motion, dark and light, and the log-in behind the gateway.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
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

/** An hour of candles, and then about a trade a second in all. */
const HOUR = "venue=kraken&symbol=BTC-USD&limit=1000";

const PASSWORD = "the password of a test";

let service, browser, gateway;
before(async (context) => {
  const [api, apiGrpc, candles, simulator, auth, gatewayPort] = await freePorts(6);
  gateway = `http://localhost:${gatewayPort}`;
  const variables = {
    ANALYTICS_API_SERVER_PORT: api, ANALYTICS_API_GRPC_PORT: apiGrpc, MARKET_PREPROCESSOR_GRPC_PORT: candles,
    CANDLES_GRPC_URL: `http://127.0.0.1:${candles}`,
    API_GATEWAY_SERVER_PORT: gatewayPort, API_GATEWAY_AUTH: "jwt", AUTH: "none", AUTH_SERVER_PORT: auth, AUTH_LEEWAY: "0s",
    GATEWAY_UPSTREAMS: `analytics=http://127.0.0.1:${api},auth=http://127.0.0.1:${auth}`,
    AUTH_JWKS_URL: `http://127.0.0.1:${auth}/.well-known/jwks.json`, AUTH_ISSUER: "http://auth.test", AUTH_AUDIENCE: "kennel",
    TOKEN_SECRET: "a secret of at least 32 characters", TOKEN_LIFETIME: "3s",
    FIRST_ADMIN: "admin", FIRST_ADMIN_PASSWORD: PASSWORD, FIRST_ADMIN_PERMISSIONS: "market:read",
    SIMULATOR_PORT: simulator, SIMULATOR_SYMBOLS: "BTC-USD,ETH-USD", SIMULATOR_INTERVAL: "4s", SIMULATOR_START_AGO: "65m",
    SIMULATOR_SPEED: "600",
  };
  for (const [venue, path] of [["KRAKEN", "kraken/v2"], ["COINBASE", "coinbase/ws"]]) {
    Object.assign(variables, {
      [`${venue}_SYMBOLS`]: "BTC-USD,ETH-USD", [`${venue}_STREAM_URL`]: `ws://127.0.0.1:${simulator}/${path}`,
      [`${venue}_REST_URL`]: `http://127.0.0.1:${simulator}/${path.split("/")[0]}`, [`${venue}_ALLOW_PRIVATE`]: "true",
    });
  }
  service = await Service.start(context, variables, { program: process.env.MARKET_PIPELINE, component: "analytics-api.http" });
  browser = await launch(context);
  await eventually("an hour of candles is stored", async () => {
    const { items } = await service.call("GET", `/candles?${HOUR}`);
    return items.length >= 60;
  });
});

const plot = (page) => page.getByRole("slider", { name: "Selected candle" });
const selected = async (page) => ({
  index: Number(await plot(page).getAttribute("aria-valuenow")), last: Number(await plot(page).getAttribute("aria-valuemax")),
  text: await plot(page).getAttribute("aria-valuetext"),
});
const rows = (page) => page.locator("#rows tr");
/** Number of pixels of the canvas that are drawn. */
const drawn = (page) => page.evaluate(() => {
  const canvas = document.querySelector("#chart");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, index) => index % 4 === 3 && value > 0).length;
});

/** The page with its candles. */
async function open(t, options = {}) {
  const page = await tab(t, browser, service.url, options);
  await page.locator("#status", { hasText: "live" }).waitFor();
  await page.locator("#instrument").selectOption("kraken:BTC-USD");
  await page.waitForFunction(() => Number(document.querySelector("#plot").ariaValueMax) >= 50);
  return page;
}

test("candles are drawn, listed, and change as trades happen", async (t) => {
  const page = await open(t, { reducedMotion: "no-preference" });
  assert.ok((await drawn(page)) > 1000);
  assert.equal(await rows(page).count(), 40);
  assert.match(await rows(page).first().innerText(), /^\d{4}-\d\d-\d\d \d\d:\d\d\t[\d.]+\t/);
  assert.match(await page.locator("#change").innerText(), /^[+−]\d+\.\d\d %$/);
  const before = await page.locator("#details").innerText();
  await page.waitForFunction((text) => document.querySelector("#details").textContent !== text, before);
});

test("keys select a candle, which is described", async (t) => {
  const page = await open(t);
  await page.getByRole("button", { name: "Pause" }).click();
  await plot(page).focus();
  const newest = await selected(page);
  assert.equal(newest.index, newest.last);
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((last) => Number(document.querySelector("#plot").ariaValueNow) === last - 1, newest.last);
  const text = (await selected(page)).text;
  assert.match(text, /^\d{4}-\d\d-\d\d \d\d:\d\d, open [\d.]+, high [\d.]+, low [\d.]+, close [\d.]+, [+−][\d.]+ %, /);
  assert.equal(await page.locator("tr[aria-current=true]").count(), 1);
  assert.ok(text.startsWith(await page.locator("tr[aria-current=true] td").first().innerText()));
  for (const [key, index] of [["PageDown", newest.last - 11], ["ArrowRight", newest.last - 10], ["Home", 0], ["ArrowLeft", 0], ["End", newest.last], ["ArrowRight", newest.last]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((index) => Number(document.querySelector("#plot").ariaValueNow) === index, index);
  }
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelector("tr[aria-current]") === null);
});

test("the pointer selects a candle, until it leaves", async (t) => {
  const page = await open(t);
  const box = await plot(page).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForFunction(() => Number(document.querySelector("#plot").ariaValueNow) < Number(document.querySelector("#plot").ariaValueMax));
  await page.mouse.move(box.x + box.width / 2, 1);
  await page.waitForFunction(() => document.querySelector("#plot").ariaValueNow === document.querySelector("#plot").ariaValueMax);
});

test("another instrument and another length are shown", async (t) => {
  const page = await open(t);
  await page.getByLabel("Instrument").selectOption("coinbase:ETH-USD");
  await page.locator("#status", { hasText: "coinbase:ETH-USD, 1m: live." }).waitFor();
  const { items } = await service.call("GET", "/candles?venue=coinbase&symbol=ETH-USD&limit=3");
  await page.locator("#rows td", { hasText: items[0].open }).first().waitFor();
  await page.getByLabel("Length").selectOption("15m");
  await page.locator("#status", { hasText: "coinbase:ETH-USD, 15m: live." }).waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll("#rows td:first-child")].length > 1
    && [...document.querySelectorAll("#rows td:first-child")].every((cell) => /:(00|15|30|45)$/.test(cell.textContent)));
});

test("a pause stops the page, and going on shows what happened", async (t) => {
  const page = await open(t, { reducedMotion: "no-preference" });
  await page.getByRole("button", { name: "Pause" }).click();
  // A frame that was planned before.
  await page.evaluate(() => new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 50)));
  const text = await page.locator("#details").innerText();
  const revision = async () => (await service.call("GET", "/candles/latest?venue=kraken&symbol=BTC-USD")).items[0].revision;
  const [before, minute] = [await revision(), text.slice(0, 16)];
  await eventually("trades happen", async () => (await revision()) !== before);
  assert.equal(await page.locator("#details").innerText(), text, minute);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.waitForFunction((text) => document.querySelector("#details").textContent !== text, text);
});

test("with reduced motion, the page changes at most every five seconds", async (t) => {
  const page = await open(t, { reducedMotion: "reduce" });
  const times = await page.evaluate(() => new Promise((resolve) => {
    const times = [];
    new MutationObserver(() => {
      times.push(performance.now());
      if (times.length === 3) resolve(times);
    }).observe(document.querySelector("#rows"), { childList: true });
  }));
  // The first one may have been planned before; the paint after it waits.
  assert.ok(times[2] - times[1] >= 4900, String(times));
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing: ${colorScheme}`, async (t) => {
    const page = await open(t, { colorScheme });
    await assertAccessible(page, "the chart");
  });
}

test("no width needs sideways scrolling", async (t) => {
  const page = await open(t);
  for (const width of [320, 390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 844 });
    assert.equal(await overflow(page), 0, `${width} pixels`);
    await page.waitForFunction(() => document.querySelector("#chart").clientWidth > 200);
  }
});

/** The page behind the gateway, which wants to know who calls. A refused request is an error of the browser's console. */
async function openGateway(t, options = {}) {
  const page = await tab(t, browser, gateway, { but: /status of 401/, ...options });
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  return page;
}

test("behind the gateway, a log-in with the keyboard opens the page, and the token is replaced when it expires", async (t) => {
  const page = await openGateway(t, { reducedMotion: "no-preference" });
  const focused = () => page.evaluate(() => document.activeElement.name ?? document.activeElement.id);
  assert.equal(await focused(), "name");
  assert.equal(await page.locator("#status").innerText(), "Log in to see the candles.");
  await assertAccessible(page, "the log-in");
  assert.equal(await overflow(page), 0);
  await page.keyboard.type("admin");
  await page.keyboard.press("Tab");
  await page.keyboard.type("another password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "Not logged in: name or password is wrong." }).waitFor();
  // It is selected, so that the next one replaces it.
  assert.equal(await focused(), "password");
  await page.keyboard.type(PASSWORD);
  const refreshed = page.waitForResponse((response) => response.url().endsWith("/api/v1/sessions/refresh") && response.ok());
  await page.keyboard.press("Enter");
  await page.locator("#status", { hasText: "live" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "plot");
  await page.waitForFunction(() => document.querySelectorAll("#rows tr").length === 40);
  await assertAccessible(page, "the chart of a user");
  await refreshed;
  const text = await page.locator("#details").innerText();
  await page.waitForFunction((text) => document.querySelector("#details").textContent !== text, text);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length), 0);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll("#rows tr").length === 0);
  assert.equal(await page.getByRole("button", { name: "Log out" }).count(), 0);
});

/** Pictures to look at, if `SCREENSHOTS` names a folder for them. */
test("screenshots", { skip: !process.env.SCREENSHOTS }, async (t) => {
  await mkdir(process.env.SCREENSHOTS, { recursive: true });
  for (const [name, width, colorScheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["phone", 390, "light"]]) {
    const page = await open(t, { colorScheme, viewport: { width, height: 844 } });
    await plot(page).focus();
    for (let press = 0; press < 6; press++) await page.keyboard.press("ArrowLeft");
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
  }
  for (const [name, width, colorScheme] of [["log-in", 1280, "light"], ["log-in-phone", 390, "dark"]]) {
    const page = await openGateway(t, { colorScheme, viewport: { width, height: 844 } });
    await page.getByLabel("Password").fill("x");
    await page.getByLabel("Name").fill("ann");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "wrong" }).waitFor();
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
  }
});
