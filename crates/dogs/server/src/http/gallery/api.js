// Calls to the API, and the notice that the service is unreachable.

import { $ } from "./page.js";

/** Relative to the URL of this file, so that the page also works with a proxy that adds a path prefix. */
export const API = new URL("../api/v1", import.meta.url).pathname;

/** An error response of the API. */
export class ApiError extends Error {
  constructor(problem, status, retryAfter) {
    super(reason(problem, status) + (retryAfter ? `; try again in ${retryAfter} s` : ""));
    this.status = status;
  }
}

function reason({ detail, title, request_id: request }, status) {
  if (detail) return detail;
  const what = title ? `${title} (${status})` : `status ${status}`;
  return request ? `${what}; the log of the service has the details of request ${request}` : what;
}

/** Shows or hides the notice that the service is unreachable. */
export function offline(unreachable) {
  if ($("offline").hidden === !unreachable) return;
  $("offline").hidden = !unreachable;
  document.documentElement.classList.toggle("stale", unreachable);
}

/** The body and the entity tag of the response; null if there is no body. Throws [`ApiError`], or an error when unreachable. */
export async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(API + path, options);
  } catch {
    offline(true);
    throw new Error("the service does not respond");
  }
  offline(false);
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new ApiError(problem, response.status, response.headers.get("retry-after"));
  }
  return response.status === 204 ? null : { body: await response.json(), tag: response.headers.get("etag") };
}

export const read = async (path) => (await call(path)).body;

export const json = (method, body, headers = {}) => ({
  method,
  headers: { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json", ...headers },
  body: JSON.stringify(body),
});
