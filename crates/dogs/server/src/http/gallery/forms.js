// Forms: choose a breed, fetch an image, upload one.

import { call, json, read } from "./api.js";
import { called, choose, show, shown } from "./dogs.js";
import { title } from "./names.js";
import { $, announce, busy, showMessage, size } from "./page.js";

const ANY = "mix";
let largest = null;

/** Sets the maximum size of an image, in bytes. */
export function limit(bytes) {
  if (largest === bytes) return;
  largest = bytes;
  hint();
}

function hint() {
  const most = largest ? `, up to ${size(largest)}` : "";
  $("file-hint").textContent = `JPEG, PNG, GIF or WebP${most}. It joins: ${title(shown.breed || ANY)}.`;
}

function anyBreed() {
  const all = [...$("breed").options].map((option) => option.value).filter(Boolean);
  if (all.length === 0) throw new Error("the breeds are not loaded yet");
  return all[Math.floor(Math.random() * all.length)];
}

$("breed").addEventListener("change", () => choose($("breed").value));
addEventListener("breedchange", hint);

// On small screens, the form is collapsed.
$("unfold").addEventListener("click", () => {
  const open = $("upload").classList.toggle("open");
  $("unfold").ariaExpanded = String(open);
  if (open) $("file").focus();
});

$("fetch").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.target.querySelector("button"), "fetch-message", async () => {
    const found = await read(`/dogs/${shown.breed || anyBreed()}/image`);
    const dog = await read(`/dogs/${found.id}`);
    show(dog, true);
    announce(`${called(dog)} moved in.`);
  });
});

/** Why the file is invalid, checked before the upload. */
function problem(file) {
  if (!file) return "choose an image first";
  if (file.size === 0) return `“${file.name}” is empty`;
  if (largest && file.size > largest) return `“${file.name}” has ${size(file.size)}; the limit is ${size(largest)}`;
  return null;
}

async function store(file) {
  const dog = { breed: shown.breed || ANY, name: $("name").value.trim() || null };
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const { body } = await call("/dogs", json("POST", dog, { "idempotency-key": key }));
  try {
    const headers = { "content-type": file.type || "application/octet-stream" };
    return (await call(`/dogs/${body.id}/photo`, { method: "PUT", headers, body: file })).body;
  } catch (error) {
    // Without its image, the dog is not what the user wanted to create.
    await call(`/dogs/${body.id}`, { method: "DELETE" }).catch(() => {});
    throw error;
  }
}

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  const reason = file && problem(file);
  showMessage(reason ? new Error(reason) : null, "upload-message");
});

$("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  busy(form.querySelector("button"), "upload-message", async () => {
    const [file] = $("file").files;
    const reason = problem(file);
    if (reason) {
      $("file").focus();
      throw new Error(reason);
    }
    const dog = await store(file);
    show(dog, true);
    form.reset();
    announce(`${called(dog)} moved in.`);
  });
});

hint();
