// Draws candles on a canvas.

const AXIS = { right: 76, bottom: 24, top: 12 };
/** The widest and the narrowest step from candle to candle, in pixels. */
const STEP = { max: 14, min: 7 };
/** Which part of the height is for the volumes. */
const VOLUMES = 0.18;

/** The colours of the page; those of light-dark() are resolved by an element. */
const palette = (canvas) => {
  const resolve = (name) => {
    canvas.style.color = `var(${name})`;
    const { color } = getComputedStyle(canvas);
    canvas.style.color = "";
    return color;
  };
  return Object.fromEntries(["up", "down", "soft", "line", "card", "accent"].map((name) => [name, resolve(`--${name}`)]));
};

/** A step of 1, 2 or 5 times a power of ten, of which `range` has about `count`. */
const niceStep = (range, count) => {
  const rough = range / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((step) => step >= rough);
};

/** Where everything is: the candles that fit, the newest at the right. */
const layout = (canvas, list) => {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const inner = width - AXIS.right;
  const step = Math.max(STEP.min, Math.min(STEP.max, inner / Math.max(list.length, 1)));
  const count = Math.min(list.length, Math.floor(inner / step));
  const shown = list.slice(list.length - count);
  const x = (index) => inner - (count - index - 0.5) * step;
  return { width, height, inner, step, shown, x, first: list.length - count };
};

export const draw = (canvas, list, selected) => {
  const { width, height, inner, step, shown, x, first } = layout(canvas, list);
  draw.last = { inner, step, count: shown.length, first };
  [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio];
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  if (shown.length === 0) return;
  const colors = palette(canvas);
  const bottom = height - AXIS.bottom;
  const [low, high] = [Math.min(...shown.map((candle) => +candle.low)), Math.max(...shown.map((candle) => +candle.high))];
  const priceBottom = bottom - (bottom - AXIS.top) * VOLUMES;
  const y = (price) => AXIS.top + ((high - price) / (high - low || 1)) * (priceBottom - AXIS.top);
  pen.font = "12px system-ui, sans-serif";
  prices({ pen, colors, low, high, y, inner, last: y(+shown.at(-1).close) });
  times({ pen, colors, shown, x, bottom, height, step });
  const most = Math.max(...shown.map((candle) => +candle.volume)) || 1;
  shown.forEach((candle, index) => {
    const bar = (candle.volume / most) * (bottom - AXIS.top) * VOLUMES * 0.9;
    pen.fillStyle = colors.line;
    pen.fillRect(x(index) - step * 0.35, bottom - bar, step * 0.7, bar);
    body({ pen, colors, candle, center: x(index), step, y });
  });
  marks({ pen, colors, shown, selected, x, y, inner, bottom });
};

/** The index of the candle at this distance from the left, of the list that was drawn last; `null` outside the candles. */
draw.indexAt = (canvas, left) => {
  if (!draw.last || draw.last.count === 0) return null;
  const { inner, step, count, first } = draw.last;
  const index = Math.floor((left - (inner - count * step)) / step);
  return index >= 0 && index < count ? first + index : null;
};

const prices = ({ pen, colors, low, high, y, inner, last }) => {
  const step = niceStep(high - low, 5);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  for (let price = Math.ceil(low / step) * step; price <= high; price += step) {
    pen.fillStyle = colors.line;
    pen.fillRect(0, Math.round(y(price)), inner, 1);
    // The label of the last price covers it.
    if (Math.abs(y(price) - last) < 18) continue;
    pen.fillStyle = colors.soft;
    pen.fillText(price.toFixed(digits), inner + 8, y(price));
  }
};

const times = ({ pen, colors, shown, x, bottom, height, step }) => {
  const every = Math.ceil(90 / step);
  pen.textBaseline = "middle";
  pen.textAlign = "center";
  pen.fillStyle = colors.soft;
  shown.forEach((candle, index) => {
    if (index % every !== Math.floor(every / 2)) return;
    const time = candle.timeframe === "1d" ? candle.open_time.slice(5, 10) : candle.open_time.slice(11, 16);
    pen.fillText(time, x(index), (bottom + height) / 2);
  });
};

/** A rising candle is hollow and a falling one is filled, so that they differ without their colours. */
const body = ({ pen, colors, candle, center, step, y }) => {
  const isUp = +candle.close >= +candle.open;
  const [top, bottom] = [y(Math.max(candle.open, candle.close)), y(Math.min(candle.open, candle.close))];
  pen.globalAlpha = candle.complete ? 1 : 0.5;
  pen.strokeStyle = pen.fillStyle = isUp ? colors.up : colors.down;
  pen.lineWidth = 1.25;
  pen.beginPath();
  pen.moveTo(center, y(+candle.high));
  pen.lineTo(center, top);
  pen.moveTo(center, bottom);
  pen.lineTo(center, y(+candle.low));
  pen.stroke();
  const box = [center - step * 0.34, top, step * 0.68, Math.max(bottom - top, 1)];
  if (isUp) pen.strokeRect(...box);
  else pen.fillRect(...box);
  pen.globalAlpha = 1;
};

/** The last price, and the selected candle. */
const marks = ({ pen, colors, shown, selected, x, y, inner, bottom }) => {
  const last = shown.at(-1);
  pen.strokeStyle = colors.accent;
  pen.setLineDash([4, 4]);
  pen.beginPath();
  pen.moveTo(0, y(+last.close));
  pen.lineTo(inner, y(+last.close));
  const index = shown.findIndex((candle) => candle.open_time === selected);
  if (index >= 0) {
    pen.moveTo(x(index), AXIS.top);
    pen.lineTo(x(index), bottom);
  }
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colors.accent;
  pen.fillRect(inner, y(+last.close) - 10, AXIS.right, 20);
  pen.fillStyle = colors.card;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(last.close, inner + 8, y(+last.close));
};
