// Takes the screenshots of docs/images, for `make screenshots`; the argument is the directory.

import { join } from "node:path";
import { chromium } from "playwright-core";
import { pictured, settled } from "./support/browser.mjs";
import { Service, eventually } from "./support/service.mjs";

const BREEDS = [
  "retriever-golden", "mountain-bernese", "boxer", "samoyed", "shiba", "dachshund", "poodle-toy", "dalmatian", "hound-afghan",
  "pug", "husky", "collie-border", "corgi-cardigan", "beagle", "terrier-westhighland", "german-shepherd", "chow", "husky", "pug",
  "stbernard", "husky", "pug", "collie-border", "samoyed", "shiba", "retriever-golden", "dachshund", "beagle", "corgi-cardigan",
];
const LIVE = ["dalmatian", "samoyed"];
const SHOTS = [
  ["gallery-light.png", { colorScheme: "light", viewport: { width: 1280, height: 860 } }],
  ["gallery-dark.png", { colorScheme: "dark", viewport: { width: 1280, height: 860 } }],
  ["gallery-phone.png", { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5 }],
];

async function shoot(browser, service, path, options) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce", locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(service.url);
  await settled(page);
  for (const breed of LIVE) await service.call("GET", `/dogs/${breed}/image`);
  await eventually("the events are shown", async () => (await page.getByText("got a thumbnail").count()) === LIVE.length);
  await eventually("the counts are shown", async () => {
    const { items } = await service.call("GET", "/breeds");
    const total = items.reduce((sum, { dogs }) => sum + dogs, 0);
    return (await page.locator("#count").textContent()).startsWith(`${total} dogs`);
  });
  await pictured(page);
  await page.screenshot({ path });
  await context.close();
}

const afterwards = [];
const context = { after: (action) => afterwards.unshift(action) };
try {
  const links = { GRAFANA_URL: "http://localhost:3000", METRICS_URL: "http://localhost:9090/metrics" };
  const service = await Service.start(context, links);
  await service.fetchAll(BREEDS);
  const browser = await chromium.launch({ executablePath: process.env.TEST_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  context.after(() => browser.close());
  for (const [name, options] of SHOTS) await shoot(browser, service, join(process.argv[2], name), options);
} finally {
  for (const action of afterwards) await action();
}
