// What the service runs on, and whether it is well.

import { read } from "./api.js";
import { limit } from "./forms.js";
import { ROLES, part } from "./names.js";
import { $, make } from "./page.js";

function link(id, url) {
  $(id).hidden = !url;
  if (url) $(id).href = url;
}

function entry(role, name, check) {
  const down = check?.status === "down";
  const dot = make("span", { className: "dot" });
  dot.setAttribute("aria-hidden", "true");
  return make("div", { className: down ? "part down" : "part up", title: check ? `answered in ${check.latency_ms} ms` : "" },
    make("dt", {}, dot, ROLES[role] ?? role),
    make("dd", {}, part(name), make("span", { className: down ? "verdict" : "unseen", textContent: down ? " down" : ", up" })));
}

// What was true of a part need not be any more.
function forget(entry) {
  entry.className = "part";
  entry.title = "";
  entry.querySelector("dd > span").className = "unseen";
  entry.querySelector("dd > span").textContent = ", not known";
}

function verdict({ ready, checks }) {
  if (!ready) return ["down", "Not ready"];
  return checks.every((check) => check.status === "up") ? ["up", "Ready"] : ["limping", "Ready, not all well"];
}

/** Asks the service how it is. */
export async function status() {
  const told = await read("/status").catch((error) => {
    health("down", "No answer");
    [...$("parts").children].forEach(forget);
    throw error;
  });
  health(...verdict(told));
  $("parts").replaceChildren(...Object.entries(told.parts).map(([role, name]) =>
    entry(role, name, told.checks.find((check) => check.name === role))));
  $("version").textContent = `version ${told.version}`;
  link("metrics", told.metrics_url);
  link("grafana", told.grafana_url);
  limit(told.max_picture_bytes);
}

function health(state, text) {
  $("health").className = `health ${state}`;
  $("health").querySelector(".text").textContent = text;
}
