// The backends and the health of the service.

import { read } from "./api.js";
import { limit } from "./forms.js";
import { ROLES, backend } from "./names.js";
import { $, make } from "./page.js";

function link(id, url) {
  $(id).hidden = !url;
  if (url) $(id).href = url;
}

function entry(role, name, check) {
  const down = check?.status === "down";
  const dot = make("span", { className: "dot" });
  dot.setAttribute("aria-hidden", "true");
  const built = make("div", { className: down ? "backend down" : "backend up", title: check ? `checked in ${check.latency_ms} ms` : "" },
    make("dt", {}, dot, ROLES[role] ?? role),
    make("dd", {}, backend(name), make("span", { className: down ? "verdict" : "unseen", textContent: down ? " down" : ", up" })));
  if (!check) markUnknown(built);
  return built;
}

// The last known state of a backend may be outdated.
function markUnknown(entry) {
  entry.className = "backend";
  entry.title = "";
  entry.querySelector("dd > span").className = "unseen";
  entry.querySelector("dd > span").textContent = ", unknown";
}

function verdict({ ready, checks }) {
  if (!ready) return ["down", "Not ready"];
  return checks.every((check) => check.status === "up") ? ["up", "Ready"] : ["degraded", "Ready, degraded"];
}

/** Loads the status of the service. */
export async function status() {
  const report = await read("/status").catch((error) => {
    health("down", "Unreachable");
    [...$("backends").children].forEach(markUnknown);
    throw error;
  });
  health(...verdict(report));
  $("backends").replaceChildren(...Object.entries(report.backends).map(([role, name]) =>
    entry(role, name, report.checks.find((check) => check.name === role || check.name === `dogs.${role}`))));
  $("version").textContent = `version ${report.version}`;
  link("metrics", report.metrics_url);
  link("grafana", report.grafana_url);
  limit(report.max_image_bytes);
}

function health(state, text) {
  $("health").className = `health ${state}`;
  $("health").querySelector(".text").textContent = text;
}
