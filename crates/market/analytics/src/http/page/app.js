// The chart: the newest candles, and every change of them as it happens.

const SHOWN = 120;
const instrument = document.querySelector("#instrument");
const timeframe = document.querySelector("#timeframe");
const status = document.querySelector("#status");
const rows = document.querySelector("#rows");
const chart = document.querySelector("#chart");

// The candles that are shown, by the start of their window.
let candles = new Map();
let source = null;
let isDrawing = false;

const query = () => {
  const [venue, symbol] = instrument.value.split(":");
  return new URLSearchParams({ venue, symbol, timeframe: timeframe.value });
};

const get = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
};

const say = (text) => {
  if (status.textContent !== text) status.textContent = text;
};

// The newer of two revisions of a candle is right.
const put = (candle) => {
  const known = candles.get(candle.open_time);
  if (!known || known.revision < candle.revision) candles.set(candle.open_time, candle);
};

const shown = () => [...candles.values()].sort((a, b) => (a.open_time < b.open_time ? -1 : 1)).slice(-SHOWN);

const row = (candle) => {
  const state = `${candle.final ? "final" : "live"}${candle.complete ? "" : ", incomplete"}`;
  const start = candle.open_time.slice(0, 16).replace("T", " ");
  const texts = [start, candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades, state];
  const line = document.createElement("tr");
  line.append(...texts.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
};

const paint = () => {
  isDrawing = false;
  const list = shown();
  rows.replaceChildren(...list.slice(-40).reverse().map(row));
  const scale = devicePixelRatio;
  const [width, height] = [chart.clientWidth, chart.clientHeight];
  [chart.width, chart.height] = [width * scale, height * scale];
  const pen = chart.getContext("2d");
  pen.scale(scale, scale);
  if (list.length === 0) return;
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name);
  const [low, high] = [Math.min(...list.map((c) => +c.low)), Math.max(...list.map((c) => +c.high))];
  const y = (price) => 16 + ((high - price) / (high - low || 1)) * (height - 32);
  const step = width / SHOWN;
  // The names of colours of light-dark() are resolved by an element.
  const resolve = (name) => {
    chart.style.color = `var(${name})`;
    const resolved = getComputedStyle(chart).color;
    chart.style.color = "";
    return resolved;
  };
  const [up, down, soft] = color("--up") ? ["--up", "--down", "--soft"].map(resolve) : ["green", "red", "grey"];
  list.forEach((candle, index) => {
    const x = width - (list.length - index) * step + step / 2;
    pen.strokeStyle = pen.fillStyle = +candle.close >= +candle.open ? up : down;
    pen.globalAlpha = candle.complete ? 1 : 0.5;
    pen.beginPath();
    pen.moveTo(x, y(+candle.high));
    pen.lineTo(x, y(+candle.low));
    pen.stroke();
    const [top, bottom] = [y(Math.max(+candle.open, +candle.close)), y(Math.min(+candle.open, +candle.close))];
    pen.fillRect(x - step * 0.35, top, step * 0.7, Math.max(bottom - top, 1));
  });
  pen.globalAlpha = 1;
  pen.fillStyle = soft;
  pen.font = "12px system-ui, sans-serif";
  pen.fillText(String(high), 8, 14);
  pen.fillText(String(low), 8, height - 4);
};

const draw = () => {
  if (!isDrawing) {
    isDrawing = true;
    requestAnimationFrame(paint);
  }
};

const load = async () => {
  const asked = candles;
  const list = await get(`api/v1/candles?${query()}&limit=${SHOWN}`);
  // Another instrument or timeframe may have been chosen meanwhile.
  if (candles !== asked) return;
  list.items.forEach(put);
  draw();
};

// Opens the stream first, so that no change between both is missed.
const show = () => {
  source?.close();
  candles = new Map();
  const opened = new EventSource(`api/v1/stream?${query()}`);
  source = opened;
  const reload = () => {
    if (source !== opened) return;
    load().catch((error) => source === opened && say(`Cannot load candles: ${error.message}.`));
  };
  opened.addEventListener("open", () => {
    if (source !== opened) return;
    say(`${instrument.value}, ${timeframe.value}: live.`);
    reload();
  });
  opened.addEventListener("error", () => say("The connection is lost; it is opened again."));
  opened.addEventListener("reset", reload);
  opened.addEventListener("candle", (event) => {
    if (source !== opened) return;
    put(JSON.parse(event.data));
    draw();
  });
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
    say("There are no trades yet.");
  } catch (error) {
    say(`Cannot load instruments: ${error.message}.`);
  }
  setTimeout(start, 1000);
};

instrument.addEventListener("change", show);
timeframe.addEventListener("change", show);
addEventListener("resize", draw);
// Longer candles are streamed when they are final: their live state is read again.
setInterval(() => {
  if (source?.readyState === EventSource.OPEN && timeframe.value !== "1m") load().catch(() => {});
}, 5000);
start();
