// The dialog of one dog: its image, its data, renaming and deleting it.

import { call, json } from "./api.js";
import { breeds, called, focusOn, local, removeDog, show } from "./dogs.js";
import { title } from "./names.js";
import { $, announce, busy, dateTime, make, showMessage } from "./page.js";

const open = { id: null, tag: null };

/** Opens a dog, or reloads the open one. */
export async function view(id) {
  const { body: dog, tag } = await call(`/dogs/${id}`);
  show(dog, true);
  Object.assign(open, { id, tag });
  fill(dog);
  if (!$("viewer").open) {
    showMessage(null, "viewer-message");
    $("viewer").showModal();
    $("viewer-title").focus();
  }
}

function fill(dog) {
  $("viewer-title").textContent = called(dog);
  showImage(dog);
  const facts = { Breed: title(dog.breed), Since: dateTime(dog.created_at), Revision: dog.revision, Id: dog.id };
  if (dog.source_url) facts.Source = dog.source_url;
  $("viewer-facts").replaceChildren(...Object.entries(facts).map(([name, value]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
  $("rename-name").value = dog.name ?? "";
}

function showImage(dog) {
  const image = $("viewer-image");
  $("viewer-paw").hidden = Boolean(dog.image_url);
  image.hidden = !dog.image_url;
  image.alt = dog.name ? `${dog.name}, ${title(dog.breed)}` : title(dog.breed);
  const url = dog.image_url && local(dog.image_url, dog);
  if (url && image.getAttribute("src") !== url) image.src = url;
}

/** Closes the viewer if it shows this dog, which was deleted. */
export function closeDeleted(id) {
  if (open.id !== id) return;
  $("viewer").close();
}

$("viewer-image").addEventListener("error", () => {
  $("viewer-image").hidden = true;
  $("viewer-paw").hidden = false;
});

$("close").addEventListener("click", () => $("viewer").close());
$("viewer").addEventListener("click", (event) => { if (event.target === $("viewer")) $("viewer").close(); });
$("viewer").addEventListener("close", () => {
  focusOn(open.id);
  open.id = null;
  $("viewer-image").removeAttribute("src");
});

$("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  const [id, name] = [open.id, $("rename-name").value.trim() || null];
  busy(event.target.querySelector("button"), "viewer-message", async () => {
    const { body } = await call(`/dogs/${id}`, json("PATCH", { name }, { "if-match": open.tag }));
    await view(id);
    announce(name ? `It is called ${called(body)} now.` : "It has no name now.");
  });
});

$("remove").addEventListener("click", () => {
  const id = open.id;
  busy($("remove"), "viewer-message", async () => {
    await call(`/dogs/${id}`, { method: "DELETE", headers: { "if-match": open.tag } });
    const name = $("viewer-title").textContent;
    $("viewer").close();
    removeDog(id);
    announce(`${name} moved out.`);
    await breeds();
  });
});
