// The chart: the newest candles, and every change of them as it happens.

import { draw } from "./chart.js";
import { request } from "./session.js";
import { follow } from "./stream.js";

const LOADED = 120;
/** How often the page changes, in milliseconds, for people who want less motion. */
const CALM = 5000;
const find = (id) => document.getElementById(id);
const [instrument, timeframe, pause, status, rows, plot, canvas] =
  ["instrument", "timeframe", "pause", "status", "rows", "plot", "chart"].map(find);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// The candles by the start of their window, and the start of the selected one; null for the newest.
let candles = new Map();
let selected = null;
let unfollow = null;
let isOpen = false;
let planned = null;
let paintedAt = -CALM;

const query = () => {
  const [venue, symbol] = instrument.value.split(":");
  return new URLSearchParams({ venue, symbol, timeframe: timeframe.value });
};

const get = async (path) => (await request(path)).json();

const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

// The newer of two revisions of a candle is right.
const put = (candle) => {
  const known = candles.get(candle.open_time);
  if (!known || known.revision < candle.revision) candles.set(candle.open_time, candle);
};

const all = () => [...candles.values()].sort((a, b) => (a.open_time < b.open_time ? -1 : 1)).slice(-LOADED);
const minute = (candle) => candle.open_time.slice(0, 16).replace("T", " ");
const state = (candle) => `${candle.final ? "final" : "live"}${candle.complete ? "" : ", incomplete"}`;

const row = (candle) => {
  const { open, high, low, close, volume, trades } = candle;
  const line = document.createElement("tr");
  if (candle.open_time === selected) line.setAttribute("aria-current", "true");
  const cells = [minute(candle), open, high, low, close, volume, trades, state(candle)];
  line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
};

// The selected candle, or the newest one, as text.
const describe = (list) => {
  if (list.length === 0) {
    for (const id of ["price", "change", "details"]) write(find(id), "");
    plot.ariaValueMax = plot.ariaValueNow = "0";
    plot.ariaValueText = "none";
    return;
  }
  const index = list.findIndex((candle) => candle.open_time === selected);
  const shown = list[index < 0 ? list.length - 1 : index];
  const { open, high, low, close, volume } = shown;
  const change = +open === 0 ? 0 : (close / open - 1) * 100;
  const percent = `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} %`;
  write(find("price"), close);
  write(find("change"), percent);
  find("change").className = change < 0 ? "down" : "up";
  write(find("details"), `${minute(shown)} UTC · open ${open} · high ${high} · low ${low} · volume ${volume} · ${state(shown)}`);
  plot.ariaValueMax = String(list.length - 1);
  plot.ariaValueNow = String(index < 0 ? list.length - 1 : index);
  plot.ariaValueText = `${minute(shown)}, open ${open}, high ${high}, low ${low}, close ${close}, ${percent}, ${state(shown)}`;
};

const paint = () => {
  clearTimeout(planned?.timer);
  planned = null;
  const list = all();
  // The first candles are no change.
  paintedAt = list.length > 0 ? performance.now() : -CALM;
  rows.replaceChildren(...list.slice(-40).reverse().map(row));
  draw(canvas, list, selected);
  describe(list);
};

/** Paints soon: at the next frame, or later for live changes if less motion is wanted. */
const update = ({ live = false } = {}) => {
  const wait = live && calm.matches ? Math.max(0, paintedAt + CALM - performance.now()) : 0;
  if (planned !== null && !(wait === 0 && planned.isLate)) return;
  if (planned !== null) clearTimeout(planned.timer);
  planned = { isLate: wait > 0, timer: setTimeout(() => requestAnimationFrame(paint), wait) };
};

// While the page is paused, its candles stay as they are, so that keys select among those that are shown.
const isPaused = () => pause.ariaPressed === "true";

const load = async () => {
  const asked = candles;
  const list = await get(`api/v1/candles?${query()}&limit=${LOADED}`);
  // Another instrument or timeframe may have been chosen meanwhile.
  if (candles !== asked || (isPaused() && candles.size > 0)) return;
  list.items.forEach(put);
  update({ live: true });
};

// Opens the stream first, so that no change between both is missed.
const show = () => {
  unfollow?.();
  isOpen = false;
  selected = null;
  const shown = new Map();
  candles = shown;
  const reload = () => load().catch((error) => candles === shown && write(status, `Cannot load candles: ${error.message}.`));
  unfollow = follow(`api/v1/stream?${query()}`, {
    opened: () => {
      isOpen = true;
      write(status, `${instrument.value}, ${timeframe.value}: live.`);
      reload();
    },
    failed: (error) => {
      isOpen = false;
      write(status, `The connection is lost: ${error.message}. It is opened again.`);
    },
    received: ({ event, data }) => {
      // Candles are missing from the stream: the stored ones have them.
      if (event === "reset") reload();
      if (event !== "candle" || isPaused()) return;
      put(JSON.parse(data));
      update({ live: true });
    },
  });
  // At once: what is shown is of another instrument or timeframe.
  paint();
};

const start = async () => {
  try {
    const { items } = await get("api/v1/instruments");
    if (items.length > 0) {
      const names = items.map((item) => `${item.venue}:${item.symbol}`);
      instrument.replaceChildren(...names.map((name) => new Option(name)));
      show();
      return;
    }
    write(status, "There are no trades yet.");
  } catch (error) {
    write(status, `Cannot load instruments: ${error.message}.`);
  }
  setTimeout(start, 1000);
};

const select = (choose) => {
  const list = all();
  const now = list.findIndex((candle) => candle.open_time === selected);
  const index = choose(now < 0 ? list.length - 1 : now);
  selected = list[Math.max(0, Math.min(index, list.length - 1))]?.open_time ?? null;
  update();
};

const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
plot.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    selected = null;
    update();
  } else if (event.key in KEYS) {
    event.preventDefault();
    select((now) => now + KEYS[event.key]);
  }
});
plot.addEventListener("pointermove", (event) => {
  const index = draw.indexAt(canvas, event.offsetX);
  if (index !== null) select(() => index);
});
plot.addEventListener("pointerleave", () => {
  selected = null;
  update();
});
pause.addEventListener("click", () => {
  pause.ariaPressed = String(!isPaused());
  write(pause, isPaused() ? "Resume" : "Pause");
  // What happened meanwhile.
  if (!isPaused()) load().then(() => update()).catch(() => {});
});
instrument.addEventListener("change", show);
timeframe.addEventListener("change", show);
// What is shown is not for the next one who logs in.
find("log-out").addEventListener("click", () => instrument.value && show());
addEventListener("resize", () => update());
for (const query of [calm, matchMedia("(prefers-color-scheme: dark)")]) query.addEventListener("change", () => update());
// Longer candles are streamed when they are final: their live state is read again.
setInterval(() => {
  if (isOpen && timeframe.value !== "1m") load().catch(() => {});
}, 5000);
start();
