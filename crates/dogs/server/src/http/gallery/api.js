// Calls to the API, and whether it answers at all.

import { $ } from "./page.js";

/** Found from this file's own address, so that the page also works behind a proxy that adds a prefix to every path. */
export const API = new URL("../api/v1", import.meta.url).pathname;

/** The API refused, and said why. */
export class Refused extends Error {
  constructor(problem, status, retryAfter) {
    super(reason(problem, status) + (retryAfter ? `; try again in ${retryAfter} s` : ""));
    this.status = status;
  }
}

function reason({ detail, title, request_id: request }, status) {
  if (detail) return detail;
  const what = title ? `${title} (${status})` : `status ${status}`;
  return request ? `${what}; the service's log tells more under ${request}` : what;
}

/** Shows or takes away that the service does not answer. */
export function offline(away) {
  if ($("offline").hidden === !away) return;
  $("offline").hidden = !away;
  document.documentElement.classList.toggle("stale", away);
}

/** The answer's body and entity tag; null where there is no body. Fails as [`Refused`] or when nobody answers. */
export async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(API + path, options);
  } catch {
    offline(true);
    throw new Error("the service does not answer");
  }
  offline(false);
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem, response.status, response.headers.get("retry-after"));
  }
  return response.status === 204 ? null : { body: await response.json(), tag: response.headers.get("etag") };
}

export const read = async (path) => (await call(path)).body;

export const json = (method, body, headers = {}) => ({
  method,
  headers: { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json", ...headers },
  body: JSON.stringify(body),
});
