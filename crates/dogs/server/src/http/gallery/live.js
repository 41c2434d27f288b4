// What happens, as it happens.

import { API, read } from "./api.js";
import { breeds, forget, nameOf, show, welcome } from "./dogs.js";
import { title } from "./names.js";
import { $, clock, make } from "./page.js";
import { gone } from "./viewer.js";

const KEPT = 40;
const AT_ONCE = 48;
const PAUSE = 250;
/** How long until a stream that was refused is asked for again. */
const AGAIN = 3_000;

const HAPPENED = {
  "dogs.created": "moved in",
  "dogs.updated": "changed",
  "dogs.deleted": "moved out",
  "dogs.image_stored": "got a picture",
  "dogs.thumbnail_stored": "got a thumbnail",
  "dogs.imported": "imported",
};

const names = new Map();
const waiting = { told: [], changed: new Set(), counts: false, timer: null };
let last = null;

function subject({ type, subject: id, data }) {
  if (type === "dogs.imported") return `${data.dogs.toLocaleString("en")} ${data.dogs === 1 ? "dog" : "dogs"}`;
  const name = data.name ?? (data.breed ? title(data.breed) : names.get(id) ?? nameOf(id));
  if (name) names.set(id, name);
  if (names.size > 500) names.delete(names.keys().next().value);
  return name ?? `Dog …${id.slice(-6)}`;
}

const line = ({ time, type, who }) => make("li", {},
  make("time", { dateTime: time, textContent: clock(time) }),
  make("span", {}, make("b", { textContent: who }), ` ${HAPPENED[type] ?? type}`));

// Many events at once are shown together, a moment later, and their dogs are read once.
function settle() {
  waiting.timer = null;
  const told = waiting.told.splice(0);
  const ids = [...waiting.changed].slice(-AT_ONCE);
  waiting.changed.clear();
  $("quiet").hidden = true;
  $("events").prepend(...told.slice(-KEPT).reverse().map(line));
  while ($("events").childElementCount > KEPT) $("events").lastElementChild.remove();
  ids.forEach((id) => read(`/dogs/${id}`).then((dog) => show(dog, true)).catch(() => {}));
  if (waiting.counts) breeds().catch(() => {});
  waiting.counts = false;
}

function happened(event) {
  last = event.lastEventId || last;
  const told = JSON.parse(event.data);
  waiting.told.push({ ...told, who: subject(told) });
  if (told.type === "dogs.deleted") {
    waiting.changed.delete(told.subject);
    gone(told.subject);
    forget(told.subject);
  } else if (told.type === "dogs.imported") {
    welcome();
  } else {
    waiting.changed.add(told.subject);
  }
  if (told.type !== "dogs.thumbnail_stored" && told.type !== "dogs.image_stored") waiting.counts = true;
  waiting.timer ??= setTimeout(settle, PAUSE);
}

function connected(up) {
  $("live").className = `health ${up ? "up" : "down"}`;
  $("live").querySelector(".text").textContent = up ? "connected" : "reconnecting…";
}

/** Follows the events. `renew` is called when what is shown may be old, `lost` when the stream broke off. */
export function listen(renew, lost) {
  // The browser sends the last id itself when it connects again, but not on a stream that is opened anew.
  const source = new EventSource(`${API}/events${last ? `?last_event_id=${last}` : ""}`);
  Object.keys(HAPPENED).forEach((name) => source.addEventListener(name, happened));
  source.addEventListener("reset", renew);
  source.addEventListener("open", () => {
    connected(true);
    if (listen.broken) renew();
    listen.broken = false;
  });
  source.addEventListener("error", () => {
    listen.broken = true;
    connected(false);
    lost();
    // The browser tries again by itself, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(renew, lost), AGAIN);
  });
}
