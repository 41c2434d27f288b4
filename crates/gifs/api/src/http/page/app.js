// Searches, and shows what is found. Animations are played only if the visitor does not prefer reduced motion, or asks for one.

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const [form, box, list, more] = ["search", "q", "gifs", "more"].map((id) => document.getElementById(id));
const [status, attribution] = ["status", "attribution"].map((id) => document.getElementById(id));

// How often, and how long in milliseconds, an image is requested again that is not stored yet.
const RETRIES = 12;
const RETRY_AFTER = 200;

let latest = 0;

function element(name, properties, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

/** Shows an image when it is there, and tries again while its file is being stored. */
function load(image, url) {
  let tries = 0;
  image.onload = () => image.classList.remove("waits");
  image.onerror = () => {
    tries += 1;
    if (tries > RETRIES) image.classList.remove("waits");
    else if (image.dataset.url === url) {
      setTimeout(() => { if (image.dataset.url === url) image.src = url; }, RETRY_AFTER * tries);
    }
  };
  image.classList.add("waits");
  image.dataset.url = url;
  image.src = url;
}

function card(gif) {
  const animation = gif.files.small ?? gif.files.original;
  const still = gif.files.poster;
  const image = element("img", { alt: gif.title || "GIF without a title", loading: "lazy", width: gif.width ?? 200, height: gif.height ?? 200 });
  const figure = element("figure", {}, image);
  if (calm.matches) {
    const play = element("button", { type: "button", textContent: "Play" });
    let plays = false;
    play.onclick = () => {
      plays = !plays && animation !== null;
      play.textContent = plays ? "Stop" : "Play";
      if (plays) load(image, animation);
      else if (still) load(image, still);
    };
    if (still) load(image, still);
    figure.append(play);
  } else if (animation ?? still) {
    load(image, animation ?? still);
  }
  const source = element("span", { textContent: gif.attribution || gif.provider });
  figure.append(element("figcaption", {}, gif.title || "Without a title", source));
  return element("li", {}, figure);
}

function describe(page, headers, shown) {
  if (shown === 0) return "Nothing was found.";
  const cache = headers.get("x-cache");
  const age = Number(headers.get("age") ?? 0);
  const origin = { hit: `from the cache, ${age} s old`, stale: `from the cache, ${age} s old: no provider answers`, miss: "new" }[cache];
  const provider = page.source?.provider ?? "the own catalogue, as no provider answers";
  return `${shown} GIFs of ${provider}${origin ? `; ${origin}` : ""}`;
}

async function show(query, cursor) {
  const turn = ++latest;
  const parameters = new URLSearchParams(query ? { q: query } : {});
  if (cursor) parameters.set("cursor", cursor);
  more.disabled = true;
  try {
    const response = await fetch(`api/v1/gifs/${query ? "search" : "trending"}?${parameters}`);
    const page = await response.json();
    if (turn !== latest) return;
    if (!response.ok) throw new Error(page.detail ?? page.title);
    const cards = page.items.map(card);
    if (cursor) list.append(...cards);
    else list.replaceChildren(...cards);
    status.textContent = describe(page, response.headers, list.children.length);
    attribution.textContent = page.source?.attribution ?? "";
    more.hidden = page.next === null;
    more.onclick = () => show(query, page.next);
  } catch (error) {
    if (turn !== latest) return;
    status.textContent = `That did not work: ${error.message}`;
  } finally {
    more.disabled = false;
  }
}

function open() {
  box.value = new URLSearchParams(location.search).get("q") ?? "";
  show(box.value.trim());
}

form.onsubmit = (event) => {
  event.preventDefault();
  const query = box.value.trim();
  history.pushState(null, "", query ? `?${new URLSearchParams({ q: query })}` : "./");
  show(query);
};
addEventListener("popstate", open);
calm.addEventListener("change", open);
open();
