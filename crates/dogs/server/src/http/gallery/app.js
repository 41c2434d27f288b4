// The gallery. Plain browser JavaScript: no build, no dependency. Text from the API only ever becomes text.

const API = "/api/v1";
const PAGE = 48;
const EVENTS_SHOWN = 40;
const EVENTS = {
  "dogs.created": "moved in",
  "dogs.updated": "changed",
  "dogs.deleted": "moved out",
  "dogs.image_stored": "picture stored",
  "dogs.thumbnail_stored": "thumbnail made",
  "dogs.imported": "imported",
};

const $ = (id) => document.getElementById(id);
const state = { breed: "", next: null, shown: null, loading: 0 };

// --- the API ---------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(problem, status, retryAfter) {
    const wait = retryAfter ? ` Try again in ${retryAfter} s.` : "";
    super((problem.detail ?? problem.title ?? `status ${status}`) + wait);
    this.status = status;
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(API + path, options);
  } catch {
    offline(true);
    throw new Error("The service does not answer.");
  }
  offline(false);
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem, response.status, response.headers.get("retry-after"));
  }
  return response.status === 204 ? null : { body: await response.json(), tag: response.headers.get("etag") };
}

const read = async (path) => (await call(path)).body;

const json = (method, body, headers = {}) => ({
  method,
  headers: { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json", ...headers },
  body: JSON.stringify(body),
});

// --- small things ----------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function offline(away) {
  $("offline").hidden = !away;
}

function complain(error, where = "message") {
  const place = $(where);
  place.textContent = error ? error.message ?? String(error) : "";
  place.hidden = !error;
}

async function busy(button, work, where) {
  button.disabled = true;
  complain(null, where);
  try {
    return await work();
  } catch (error) {
    complain(error, where);
    return undefined;
  } finally {
    button.disabled = false;
  }
}

const title = (breed) => breed.split("-").reverse().map((word) => word[0].toUpperCase() + word.slice(1)).join(" ");
const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const when = (time) => new Date(time).toDateString() === new Date().toDateString() ? clock(time) : new Date(time).toLocaleDateString();
const short = (id) => id.slice(-6);

// The service's own pictures are asked for where this page came from, whatever name it goes by there.
function local(url, revision) {
  const target = new URL(url, location.href);
  if (!target.pathname.startsWith(`${API}/dogs/`)) return url;
  target.searchParams.set("revision", revision);
  return target.pathname + target.search;
}

// --- dogs ------------------------------------------------------------------------------------------------------

function picture(dog) {
  const url = dog.thumbnail_url ?? dog.image_url;
  const paw = () => make("img", { src: "/gallery/icon.svg", alt: "", className: "paw" });
  if (!url) return paw();
  const image = make("img", {
    loading: "lazy", decoding: "async", alt: `${dog.name ?? "A dog"}, ${title(dog.breed)}`, referrerPolicy: "no-referrer",
  });
  image.addEventListener("error", () => image.replaceWith(paw()), { once: true });
  image.src = local(url, dog.revision);
  return image;
}

function card(dog) {
  const made = make("time", { dateTime: dog.created_at, textContent: when(dog.created_at) });
  const button = make("button", { type: "button", className: "card" },
    make("span", { className: "frame" }, picture(dog)),
    make("span", { className: "caption" },
      make("strong", { textContent: dog.name ?? title(dog.breed) }),
      make("small", {}, dog.name ? `${title(dog.breed)} · ` : "", made)));
  button.addEventListener("click", () => view(dog.id));
  const item = make("li", {}, button);
  item.dataset.id = dog.id;
  return item;
}

// Newest first, as ids sort by age. A dog from behind the loaded pages waits for its page.
function show(dog, fresh) {
  const old = document.querySelector(`#grid > [data-id="${CSS.escape(dog.id)}"]`);
  const fits = !state.breed || state.breed === dog.breed;
  if (!fits) {
    old?.remove();
  } else if (old) {
    old.replaceWith(card(dog));
  } else {
    const item = card(dog);
    const behind = [...$("grid").children].find((other) => other.dataset.id < dog.id);
    if (fresh) item.classList.add("new");
    if (behind) behind.before(item);
    else if (!fresh || !state.next) $("grid").append(item);
  }
  $("empty").hidden = $("grid").childElementCount > 0;
}

function forget(id) {
  document.querySelector(`#grid > [data-id="${CSS.escape(id)}"]`)?.remove();
  $("empty").hidden = $("grid").childElementCount > 0;
  if (state.shown === id) $("viewer").close();
}

async function load(fresh) {
  const turn = ++state.loading;
  const query = new URLSearchParams({ limit: PAGE });
  if (state.breed) query.set("breed", state.breed);
  if (!fresh && state.next) query.set("cursor", state.next);
  const page = await read(`/dogs?${query}`);
  if (turn !== state.loading) return; // another choice was made meanwhile
  if (fresh) {
    $("grid").replaceChildren();
  }
  page.items.forEach((dog) => show(dog, false));
  state.next = page.next;
  $("more").hidden = !page.next;
  $("empty").hidden = $("grid").childElementCount > 0;
  $("dogs-title").textContent = state.breed ? title(state.breed) : "All dogs";
}

async function breeds() {
  const { items } = await read("/breeds");
  const groups = new Map();
  for (const item of items) {
    const main = item.breed.split("-")[0];
    groups.set(main, [...(groups.get(main) ?? []), item]);
  }
  const option = ({ breed, dogs }) =>
    make("option", { value: breed, textContent: dogs ? `${title(breed)} (${dogs.toLocaleString()})` : title(breed) });
  const entries = [...groups].map(([main, list]) =>
    list.length > 1 ? make("optgroup", { label: title(main) }, ...list.map(option)) : option(list[0]));
  const total = items.reduce((sum, { dogs }) => sum + dogs, 0);
  $("breed").replaceChildren(make("option", { value: "", textContent: `All breeds (${total.toLocaleString()})` }), ...entries);
  $("breed").value = state.breed;
  $("count").textContent = `${total.toLocaleString()} ${total === 1 ? "dog" : "dogs"} in ${items.length} breeds`;
}

function anyBreed() {
  const all = [...$("breed").options].map((option) => option.value).filter(Boolean);
  return all[Math.floor(Math.random() * all.length)];
}

// --- one dog ---------------------------------------------------------------------------------------------------

async function view(id) {
  const { body: dog, tag } = await call(`/dogs/${id}`).catch((error) => (complain(error), {}));
  if (!dog) return;
  show(dog, true);
  state.shown = id;
  state.tag = tag;
  complain(null, "viewer-message");
  $("viewer-title").textContent = dog.name ?? title(dog.breed);
  const image = $("viewer-image");
  image.hidden = !dog.image_url;
  image.alt = `${dog.name ?? "A dog"}, ${title(dog.breed)}`;
  if (dog.image_url) image.src = local(dog.image_url, dog.revision);
  const facts = { Breed: title(dog.breed), Made: new Date(dog.created_at).toLocaleString(), Revision: dog.revision, Id: dog.id };
  if (dog.source_url) facts.Source = dog.source_url;
  $("viewer-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  $("rename-name").value = dog.name ?? "";
  if (!$("viewer").open) $("viewer").showModal();
}

$("close").addEventListener("click", () => $("viewer").close());
$("viewer").addEventListener("close", () => { state.shown = null; });
$("viewer").addEventListener("click", (event) => { if (event.target === $("viewer")) $("viewer").close(); });

$("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  const [id, name] = [state.shown, $("rename-name").value.trim() || null];
  busy(event.submitter ?? $("close"), async () => {
    const { body } = await call(`/dogs/${id}`, json("PATCH", { name }, { "if-match": state.tag }));
    show(body, true);
    await view(id);
  }, "viewer-message");
});

$("remove").addEventListener("click", () => {
  const id = state.shown;
  busy($("remove"), async () => {
    await call(`/dogs/${id}`, { method: "DELETE", headers: { "if-match": state.tag } });
    forget(id);
    await breeds();
  }, "viewer-message");
});

// --- choose, fetch and upload ----------------------------------------------------------------------------------

$("breed").addEventListener("change", () => {
  state.breed = $("breed").value;
  state.next = null;
  const query = state.breed ? `?breed=${encodeURIComponent(state.breed)}` : location.pathname;
  history.replaceState(null, "", query);
  load(true).catch(complain);
});

$("fetch").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter ?? $("more"), async () => {
    const found = await read(`/dogs/${state.breed || anyBreed()}/image`);
    show(await read(`/dogs/${found.id}`), true);
  });
});

$("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  busy(event.submitter ?? $("more"), async () => {
    const file = $("file").files[0];
    const dog = { breed: state.breed || "mixed", name: $("name").value.trim() || null };
    const { body } = await call("/dogs", json("POST", dog, { "idempotency-key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` }));
    try {
      const stored = await call(`/dogs/${body.id}/photo`, { method: "PUT", headers: { "content-type": file.type }, body: file });
      show(stored.body, true);
      form.reset();
    } catch (error) {
      // A dog whose picture was refused is not what was asked for.
      await call(`/dogs/${body.id}`, { method: "DELETE" }).catch(() => {});
      throw error;
    }
  });
});

$("more").addEventListener("click", () => busy($("more"), () => load(false)));

// --- what happens ----------------------------------------------------------------------------------------------

const changed = new Set();
let flush = null;

// Many changes at once are read together, a moment later.
function refresh(id) {
  if (id) changed.add(id);
  flush ??= setTimeout(async () => {
    const ids = [...changed].slice(-PAGE);
    changed.clear();
    flush = null;
    const dogs = await Promise.all(ids.map((each) => read(`/dogs/${each}`).catch(() => null)));
    dogs.filter(Boolean).forEach((dog) => show(dog, true));
    breeds().catch(() => {});
  }, 400);
}

function tell({ type, time, subject, data }) {
  const what = data.breed ? title(data.breed) : type === "dogs.imported" ? `${data.dogs.toLocaleString()} dogs` : short(subject);
  $("events").prepend(make("li", {},
    make("time", { dateTime: time, textContent: clock(time) }),
    make("b", { textContent: EVENTS[type] ?? type }),
    make("span", { className: "what", textContent: data.name ? `${data.name}, ${what}` : what })));
  while ($("events").childElementCount > EVENTS_SHOWN) $("events").lastElementChild.remove();
  $("quiet").hidden = true;
}

function happened(event) {
  const told = JSON.parse(event.data);
  tell(told);
  if (told.type === "dogs.deleted") {
    forget(told.subject);
    refresh();
  } else {
    refresh(told.type === "dogs.imported" ? null : told.subject);
  }
}

function live(up) {
  $("live").className = `dot ${up ? "up" : "down"}`;
  $("live").setAttribute("aria-label", up ? "connected" : "not connected");
}

function listen() {
  const source = new EventSource(`${API}/events`);
  let lost = false;
  Object.keys(EVENTS).forEach((name) => source.addEventListener(name, happened));
  source.addEventListener("reset", () => start().catch(complain));
  source.addEventListener("open", () => {
    live(true);
    offline(false);
    if (lost) start().catch(complain);
    lost = false;
  });
  source.addEventListener("error", () => {
    lost = true;
    live(false);
    // The browser itself tries again, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5_000);
  });
}

// --- parts and health ------------------------------------------------------------------------------------------

async function parts() {
  const status = await read("/status");
  const down = status.checks.filter((check) => check.status !== "up").map((check) => check.name);
  const health = down.length ? `${down.join(", ")} down` : status.ready ? "ready" : "not ready";
  const entry = (name, value, dot) =>
    make("div", {}, make("dt", {}, ...(dot ? [dot] : []), dot ? "" : name), make("dd", { textContent: value }));
  const dot = make("span", { className: `dot ${status.ready ? "up" : "down"}` });
  dot.setAttribute("aria-hidden", "true");
  $("parts").replaceChildren(
    make("div", {}, make("dt", { ariaLabel: "Health" }, dot), make("dd", { textContent: health })),
    ...Object.entries(status.parts).map(([name, value]) => entry(name, value)),
    entry("version", status.version));
  $("metrics").hidden = !status.metrics_url;
  if (status.metrics_url) $("metrics").href = status.metrics_url;
}

async function start() {
  await Promise.all([breeds(), load(true), parts()]);
}

state.breed = new URLSearchParams(location.search).get("breed") ?? "";
start().catch(complain);
listen();
setInterval(() => parts().catch(() => {}), 10_000);
addEventListener("online", () => start().catch(complain));
addEventListener("offline", () => offline(true));
