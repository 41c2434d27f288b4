// The grid of dogs, and the list of breeds.

import { API, read } from "./api.js";
import { family, title } from "./names.js";
import { $, age, make, sentence, showMessage } from "./page.js";

const PAGE = 48;
const CHIPS = 6;
const PLACEHOLDERS = 8;

/** The selected breed, empty for all, and the cursor of the next page. */
export const shown = { breed: new URLSearchParams(location.search).get("breed") ?? "", next: null };

let latestLoad = 0;
let open = () => {};

// Ids of deleted dogs: a response that was sent before the deletion must not show one again.
const MAX_DELETED = 500;
const deleted = new Set();

/** Sets the action of a click on a card. */
export function onOpen(action) {
  open = action;
}

export const called = (dog) => dog.name ?? title(dog.breed);

/** Requests stored images from the origin and path prefix of this page, whatever the public URL is. */
export function local(url, { id, revision }) {
  const target = new URL(url, location.href);
  const own = `/dogs/${id}/photo`;
  if (!target.pathname.endsWith(`/api/v1${own}`)) return url;
  target.searchParams.set("revision", revision);
  return API + own + target.search;
}

const paw = () => make("img", { src: "gallery/icon.svg", alt: "", className: "paw" });

// Without alternative text: the caption describes the image.
function dogImage(dog) {
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

// Updates in place, so that the focus is not lost.
function fill(item, dog) {
  const state = `${dog.revision} ${dog.thumbnail_url}`;
  // Responses can arrive out of order.
  if (item.dataset.state === state || dog.revision < Number(item.dataset.revision)) return;
  Object.assign(item.dataset, { state, revision: dog.revision });
  item.querySelector(".frame").replaceChildren(dogImage(dog));
  item.querySelector(".caption").replaceChildren(
    make("strong", { textContent: called(dog) }),
    make("small", {}, dog.name ? `${title(dog.breed)} · ` : "", age(dog.created_at)));
}

const cardOf = (id) => document.querySelector(`#grid > [data-id="${CSS.escape(id)}"]`);
const cards = () => [...$("grid").querySelectorAll("[data-id]")];

/** The name of a dog in the grid, if it is shown. */
export const nameOf = (id) => cardOf(id)?.querySelector("strong").textContent;

/** Shows a dog. Newest first, as ids sort by age; a dog after the loaded pages is shown with its page. */
export function show(dog, fresh) {
  if (deleted.has(dog.id)) return;
  const old = cardOf(dog.id);
  const matches = !shown.breed || shown.breed === dog.breed;
  if (!matches) {
    old?.remove();
  } else if (old) {
    fill(old, dog);
  } else {
    const item = card(dog);
    const next = cards().find((other) => other.dataset.id < dog.id);
    if (fresh) item.classList.add("new");
    if (next) next.before(item);
    else if (!fresh || !shown.next) $("grid").append(item);
  }
  settle();
}

/** Removes a dog; moves the focus to the next one, if the dog had it. */
export function removeDog(id) {
  deleted.add(id);
  if (deleted.size > MAX_DELETED) deleted.delete(deleted.values().next().value);
  const item = cardOf(id);
  if (!item) return;
  const focused = item.contains(document.activeElement);
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  settle();
  if (focused) (next?.querySelector("button") ?? $("dogs")).focus();
}

/** Allows deleted dogs to be shown again: an import can create them again with their ids, and its event names none. */
export function allowDeleted() {
  deleted.clear();
}

/** Moves the focus to the card of a dog, or to the grid. */
export function focusOn(id) {
  (cardOf(id)?.querySelector("button") ?? $("dogs")).focus();
}

function settle() {
  const none = cards().length === 0;
  $("empty").hidden = !none || !$("failed").hidden || $("grid").ariaBusy === "true";
  $("empty-text").textContent = shown.breed
    ? `No ${title(shown.breed)} here yet. Fetch an image to add the first one.`
    : "No dogs here yet. Fetch an image to add the first one.";
}

const placeholders = () => Array.from({ length: PLACEHOLDERS }, () => {
  const item = make("li", { className: "placeholder" }, make("span", { className: "frame" }), make("span", { className: "caption" }));
  item.setAttribute("aria-hidden", "true");
  return item;
});

/** Loads the first page, or the next one. */
export async function load(fresh) {
  const current = ++latestLoad;
  const query = new URLSearchParams({ limit: PAGE });
  if (shown.breed) query.set("breed", shown.breed);
  if (!fresh && shown.next) query.set("cursor", shown.next);
  if (fresh) $("dogs-title").textContent = shown.breed ? title(shown.breed) : "All dogs";
  const page = await read(`/dogs?${query}`);
  if (current === latestLoad) showPage(page, fresh); // else a later load replaced this one
}

function showPage(page, fresh) {
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

/** Loads the first page and shows the dogs, that there are none, or the error. */
export async function reload() {
  if (cards().length === 0) {
    $("grid").ariaBusy = "true";
    $("failed").hidden = true;
    $("grid").replaceChildren(...placeholders());
    settle();
  }
  try {
    await load(true);
  } catch (error) {
    showError(error);
  }
}

function showError(error) {
  if (cards().length > 0) {
    showMessage(error, "more-message");
    return;
  }
  $("grid").ariaBusy = null;
  $("grid").replaceChildren();
  $("failed-text").textContent = `The dogs could not be loaded: ${sentence(error.message)}`;
  $("failed").hidden = false;
  settle();
}

/** Loads the breeds and the number of dogs of each. */
export async function breeds() {
  const { items } = await read("/breeds");
  const total = items.reduce((sum, { dogs }) => sum + dogs, 0);
  const withDogs = items.filter(({ dogs }) => dogs > 0);
  options(items, total);
  chips(withDogs, total);
  const dogs = `${total.toLocaleString("en")} ${total === 1 ? "dog" : "dogs"}`;
  const here = total ? `${dogs} of ${withDogs.length} ${withDogs.length === 1 ? "breed" : "breeds"}` : "No dogs yet";
  $("count").textContent = `${here}; ${items.length} breeds to choose from.`;
}

function options(items, total) {
  const families = Map.groupBy?.(items, group) ?? grouped(items);
  const option = ({ breed, dogs }) =>
    make("option", { value: breed, textContent: dogs ? `${title(breed)} (${dogs.toLocaleString("en")})` : title(breed) });
  const entries = [...families].map(([word, list]) =>
    list.length > 1 ? make("optgroup", { label: family(word) }, ...list.map(option)) : option(list[0]));
  const all = make("option", { value: "", textContent: `All breeds (${total.toLocaleString("en")})` });
  const known = items.some(({ breed }) => breed === shown.breed) || !shown.breed;
  const selected = known ? [] : [option({ breed: shown.breed, dogs: 0 })];
  $("breed").replaceChildren(all, ...selected, ...entries);
  $("breed").value = shown.breed;
}

const group = ({ breed }) => breed.split("-")[0];

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(group(item), [...(groups.get(group(item)) ?? []), item]);
  return groups;
}

// Buttons for the breeds with the most dogs. A chip retains the focus when the counts change.
function chips(withDogs, total) {
  const most = withDogs.toSorted((one, other) => other.dogs - one.dogs).slice(0, CHIPS);
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

/** Selects one breed, or all if it is empty. */
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
