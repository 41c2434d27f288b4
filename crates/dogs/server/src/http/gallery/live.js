// The live list of events.

import { API, read } from "./api.js";
import { allowDeleted, breeds, nameOf, removeDog, show } from "./dogs.js";
import { title } from "./names.js";
import { $, clock, make } from "./page.js";
import { closeDeleted } from "./viewer.js";

const MAX_LINES = 40;
const MAX_RELOADS = 48;
const BATCH_DELAY = 250;
/** How long before a rejected stream is opened again. */
const RECONNECT_DELAY = 3_000;

const DESCRIPTIONS = {
  "dogs.created": "moved in",
  "dogs.updated": "changed",
  "dogs.deleted": "moved out",
  "dogs.image_stored": "got an image",
  "dogs.thumbnail_stored": "got a thumbnail",
  "dogs.imported": "imported",
};

const names = new Map();
const pending = { events: [], changed: new Set(), counts: false, timer: null };
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
  make("span", {}, make("b", { textContent: who }), ` ${DESCRIPTIONS[type] ?? type}`));

// Shows a batch of events, and loads each of their dogs once.
function flush() {
  pending.timer = null;
  const events = pending.events.splice(0);
  const ids = [...pending.changed].slice(-MAX_RELOADS);
  pending.changed.clear();
  $("quiet").hidden = true;
  $("events").prepend(...events.slice(-MAX_LINES).reverse().map(line));
  while ($("events").childElementCount > MAX_LINES) $("events").lastElementChild.remove();
  ids.forEach((id) => read(`/dogs/${id}`).then((dog) => show(dog, true)).catch(() => {}));
  if (pending.counts) breeds().catch(() => {});
  pending.counts = false;
}

function received(event) {
  last = event.lastEventId || last;
  const data = JSON.parse(event.data);
  pending.events.push({ ...data, who: subject(data) });
  if (data.type === "dogs.deleted") {
    pending.changed.delete(data.subject);
    closeDeleted(data.subject);
    removeDog(data.subject);
  } else if (data.type === "dogs.imported") {
    allowDeleted();
  } else {
    pending.changed.add(data.subject);
  }
  if (data.type !== "dogs.thumbnail_stored" && data.type !== "dogs.image_stored") pending.counts = true;
  pending.timer ??= setTimeout(flush, BATCH_DELAY);
}

function connected(up) {
  $("live").className = `health ${up ? "up" : "down"}`;
  $("live").querySelector(".text").textContent = up ? "connected" : "reconnecting…";
}

/** Receives the events. Calls `reload` when the page may be stale, and `lost` when the connection fails. */
export function listen(reload, lost) {
  // The browser sends the last id itself when it reconnects, but not on a new stream.
  const source = new EventSource(`${API}/events${last ? `?last_event_id=${last}` : ""}`);
  Object.keys(DESCRIPTIONS).forEach((name) => source.addEventListener(name, received));
  source.addEventListener("reset", reload);
  source.addEventListener("open", () => {
    connected(true);
    if (listen.broken) reload();
    listen.broken = false;
  });
  source.addEventListener("error", () => {
    listen.broken = true;
    connected(false);
    lost();
    // The browser reconnects by itself, unless the request was rejected.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(reload, lost), RECONNECT_DELAY);
  });
}
