// The log-in, for servers that want to know who calls. Tokens are only in the memory of this page: after a reload it asks again.

const [form, problem, leave, status] = ["log-in", "log-in-problem", "log-out", "status"].map((id) => document.getElementById(id));

let tokens = null;
// The renewal that all requests wait for, and what ends the wait for the form.
let renewing = null;
let entered = null;

const post = (path, body) =>
  fetch(`api/v1/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

const accept = (answer) => {
  tokens = answer;
  leave.hidden = answer === null;
};

/** What is wrong with a request, in words. */
const explain = async (response) => {
  const { detail } = await response.json().catch(() => ({}));
  const seconds = response.headers.get("retry-after");
  return `${detail ?? `the server answered ${response.status}`}${seconds ? `; try again in ${seconds} seconds` : ""}`;
};

const logIn = () => new Promise((resolve) => {
  entered = resolve;
  status.textContent = "Log in to see the candles.";
  form.hidden = false;
  form.elements.name.focus();
});

/** Gets other tokens: with the refresh token, or, when that is not valid either, with a name and a password. */
const renew = async () => {
  const used = tokens;
  if (used) {
    const response = await post("sessions/refresh", { refresh_token: used.refresh_token });
    const answer = response.ok ? await response.json() : null;
    if (answer === null && response.status !== 401) throw new Error(await explain(response));
    // Unless the user has logged out meanwhile.
    if (tokens === used) accept(answer);
    if (tokens) return null;
  }
  return logIn();
};

/** Like `fetch`, with the token; fails if the response is an error. While no one is logged in, it waits for the form. */
export const request = async (path, options = {}) => {
  for (let attempt = 1; ; attempt++) {
    const used = tokens;
    const headers = used ? { ...options.headers, authorization: `Bearer ${used.access_token}` } : options.headers;
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const wantsToken = response.status === 401 && response.headers.get("www-authenticate")?.startsWith("Bearer");
    if (!wantsToken || attempt === 3) throw new Error(await explain(response));
    // Another request may have renewed them meanwhile.
    if (tokens === used) await (renewing ??= renew().finally(() => { renewing = null; }));
  }
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(form));
  const button = form.querySelector("button");
  problem.textContent = "";
  button.disabled = true;
  try {
    const response = await post("sessions", { name, password });
    if (response.status === 404) throw new Error("there is no log-in at this address; open the page of the gateway");
    if (!response.ok) throw new Error(await explain(response));
    accept(await response.json());
    form.reset();
    form.hidden = true;
    document.getElementById("plot").focus();
    entered();
  } catch (error) {
    problem.textContent = `Not logged in: ${error.message}.`;
    form.elements.password.select();
  } finally {
    button.disabled = false;
  }
});

leave.addEventListener("click", () => {
  const { refresh_token } = tokens;
  accept(null);
  // If it does not arrive, the session ends when it has been idle.
  post("sessions/revoke", { refresh_token }).catch(() => {});
});
