// The grid of dogs, and the breeds to pick from.

import { API, read } from "./api.js";
import { family, title } from "./names.js";
import { $, complain, make, moment, sentence } from "./page.js";

const PAGE = 48;
const CHIPS = 6;
const PLACES = 8;

/** The breed that is shown, or none for all; and where the next page starts. */
export const shown = { breed: new URLSearchParams(location.search).get("breed") ?? "", next: null };

let turn = 0;
let open = () => {};

// Dogs that are gone: an answer that was on its way meanwhile must not bring one back.
const REMEMBERED = 500;
const departed = new Set();

/** Names what a card opens. */
export function onOpen(action) {
  open = action;
}

export const called = (dog) => dog.name ?? title(dog.breed);

/** The service's own pictures are requested from where this page came from, whatever its name and prefix are there. */
export function local(url, { id, revision }) {
  const target = new URL(url, location.href);
  const own = `/dogs/${id}/photo`;
  if (!target.pathname.endsWith(`/api/v1${own}`)) return url;
  target.searchParams.set("revision", revision);
  return API + own + target.search;
}

const paw = () => make("img", { src: "gallery/icon.svg", alt: "", className: "paw" });

// The caption says what is in the picture.
function picture(dog) {
  const url = dog.thumbnail_url ?? dog.image_url;
  if (!url) return paw();
  const image = make("img", { loading: "lazy", decoding: "async", alt: "", referrerPolicy: "no-referrer" });
  image.addEventListener("error", () => image.replaceWith(paw()), { once: true });
  image.src = local(url, dog);
  return image;
}

function card(dog) {
  const button = make("button", { type: "button", className: "card" },
    make("span", { className: "frame" }), make("span", { className: "caption" }));
  button.addEventListener("click", () => open(dog.id));
  const item = make("li", {}, button);
  item.dataset.id = dog.id;
  fill(item, dog);
  return item;
}

// In place, so that the focus stays where it is.
function fill(item, dog) {
  const state = `${dog.revision} ${dog.thumbnail_url}`;
  // Answers can overtake each other.
  if (item.dataset.state === state || dog.revision < Number(item.dataset.revision)) return;
  Object.assign(item.dataset, { state, revision: dog.revision });
  item.querySelector(".frame").replaceChildren(picture(dog));
  item.querySelector(".caption").replaceChildren(
    make("strong", { textContent: called(dog) }),
    make("small", {}, dog.name ? `${title(dog.breed)} · ` : "", moment(dog.created_at)));
}

const cardOf = (id) => document.querySelector(`#grid > [data-id="${CSS.escape(id)}"]`);
const cards = () => [...$("grid").querySelectorAll("[data-id]")];

/** What the grid calls a dog, if it is there. */
export const nameOf = (id) => cardOf(id)?.querySelector("strong").textContent;

/** Shows a dog. Newest first, as ids sort by age; one from behind the loaded pages waits for its page. */
export function show(dog, fresh) {
  if (departed.has(dog.id)) return;
  const old = cardOf(dog.id);
  const fits = !shown.breed || shown.breed === dog.breed;
  if (!fits) {
    old?.remove();
  } else if (old) {
    fill(old, dog);
  } else {
    const item = card(dog);
    const behind = cards().find((other) => other.dataset.id < dog.id);
    if (fresh) item.classList.add("new");
    if (behind) behind.before(item);
    else if (!fresh || !shown.next) $("grid").append(item);
  }
  settle();
}

/** Takes a dog away; the focus goes to the next one, if it was there. */
export function forget(id) {
  departed.add(id);
  if (departed.size > REMEMBERED) departed.delete(departed.values().next().value);
  const item = cardOf(id);
  if (!item) return;
  const focused = item.contains(document.activeElement);
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  settle();
  if (focused) (next?.querySelector("button") ?? $("dogs")).focus();
}

/** Lets dogs be shown again that are gone: an import can bring them back under their ids, and names none. */
export function welcome() {
  departed.clear();
}

/** Puts the focus on a dog's card, or near where it was. */
export function focusOn(id) {
  (cardOf(id)?.querySelector("button") ?? $("dogs")).focus();
}

function settle() {
  const none = cards().length === 0;
  $("empty").hidden = !none || !$("failed").hidden || $("grid").ariaBusy === "true";
  $("empty-text").textContent = shown.breed
    ? `No ${title(shown.breed)} here yet. Fetch a picture, and the first one moves in.`
    : "No dogs here yet. Fetch a picture, and the first one moves in.";
}

const places = () => Array.from({ length: PLACES }, () => {
  const item = make("li", { className: "place" }, make("span", { className: "frame" }), make("span", { className: "caption" }));
  item.setAttribute("aria-hidden", "true");
  return item;
});

/** Reads the first page, or the next one. */
export async function load(fresh) {
  const mine = ++turn;
  const query = new URLSearchParams({ limit: PAGE });
  if (shown.breed) query.set("breed", shown.breed);
  if (!fresh && shown.next) query.set("cursor", shown.next);
  if (fresh) $("dogs-title").textContent = shown.breed ? title(shown.breed) : "All dogs";
  const page = await read(`/dogs?${query}`);
  if (mine === turn) place(page, fresh); // else another choice was made meanwhile
}

function place(page, fresh) {
  $("failed").hidden = true;
  $("grid").ariaBusy = null;
  shown.next = page.next;
  if (fresh) {
    const ids = new Set(page.items.map((dog) => dog.id));
    for (const item of $("grid").querySelectorAll("li")) if (!ids.has(item.dataset.id)) item.remove();
  }
  page.items.forEach((dog) => show(dog, false));
  $("more").hidden = !page.next;
  settle();
}

/** Reads the first page and shows what became of it: dogs, none, or why there are none to see. */
export async function reload() {
  if (cards().length === 0) {
    $("grid").ariaBusy = "true";
    $("failed").hidden = true;
    $("grid").replaceChildren(...places());
    settle();
  }
  try {
    await load(true);
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (cards().length > 0) {
    complain(error, "more-message");
    return;
  }
  $("grid").ariaBusy = null;
  $("grid").replaceChildren();
  $("failed-text").textContent = `The dogs could not be read: ${sentence(error.message)}`;
  $("failed").hidden = false;
  settle();
}

/** Reads the breeds and how many dogs there are of each. */
export async function breeds() {
  const { items } = await read("/breeds");
  const total = items.reduce((sum, { dogs }) => sum + dogs, 0);
  const inhabited = items.filter(({ dogs }) => dogs > 0);
  options(items, total);
  chips(inhabited, total);
  const dogs = `${total.toLocaleString("en")} ${total === 1 ? "dog" : "dogs"}`;
  const here = total ? `${dogs} of ${inhabited.length} ${inhabited.length === 1 ? "breed" : "breeds"}` : "No dogs yet";
  $("count").textContent = `${here}; ${items.length} breeds to pick from.`;
}

function options(items, total) {
  const families = Map.groupBy?.(items, group) ?? grouped(items);
  const option = ({ breed, dogs }) =>
    make("option", { value: breed, textContent: dogs ? `${title(breed)} (${dogs.toLocaleString("en")})` : title(breed) });
  const entries = [...families].map(([word, list]) =>
    list.length > 1 ? make("optgroup", { label: family(word) }, ...list.map(option)) : option(list[0]));
  const all = make("option", { value: "", textContent: `All breeds (${total.toLocaleString("en")})` });
  const known = items.some(({ breed }) => breed === shown.breed) || !shown.breed;
  const asked = known ? [] : [option({ breed: shown.breed, dogs: 0 })];
  $("breed").replaceChildren(all, ...asked, ...entries);
  $("breed").value = shown.breed;
}

const group = ({ breed }) => breed.split("-")[0];

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(group(item), [...(groups.get(group(item)) ?? []), item]);
  return groups;
}

// The breeds with the most dogs, one press away. A chip keeps the focus when the counts change.
function chips(inhabited, total) {
  const most = inhabited.toSorted((one, other) => other.dogs - one.dogs).slice(0, CHIPS);
  const wanted = most.length > 1 ? [{ breed: "", dogs: total }, ...most] : [];
  const focused = document.activeElement?.dataset.breed;
  $("chips").replaceChildren(...wanted.map(({ breed, dogs }) => {
    const button = make("button", { type: "button", className: "chip", ariaPressed: String(breed === shown.breed) },
      breed ? title(breed) : "All", " ", make("span", { textContent: dogs.toLocaleString("en") }));
    button.dataset.breed = breed;
    button.addEventListener("click", () => choose(breed));
    return make("li", {}, button);
  }));
  if (focused !== undefined) $("chips").querySelector(`[data-breed="${CSS.escape(focused)}"]`)?.focus();
}

/** Shows one breed, or all for an empty one. */
export async function choose(breed) {
  shown.breed = breed;
  shown.next = null;
  $("breed").value = breed;
  for (const chip of $("chips").querySelectorAll("button")) chip.ariaPressed = String(chip.dataset.breed === breed);
  history.replaceState(null, "", breed ? `?breed=${encodeURIComponent(breed)}` : location.pathname);
  dispatchEvent(new Event("breedchange"));
  for (const item of cards()) item.remove();
  await reload();
}
