// The gallery. Plain browser JavaScript: no build, no dependency.

import { offline } from "./api.js";
import { breeds, load, onOpen, reload } from "./dogs.js";
import "./forms.js";
import { listen } from "./live.js";
import { $, busy, complain } from "./page.js";
import { status } from "./status.js";
import { view } from "./viewer.js";

const STATUS_EVERY = 10_000;

const ask = () => status().catch(() => {});

/** Reads all that is shown anew. */
function renew() {
  complain(null, "more-message");
  return Promise.allSettled([status(), reload(), breeds()]);
}

onOpen((id) => view(id).catch((error) => complain(error, "more-message")));
$("more").addEventListener("click", () => busy($("more"), "more-message", () => load(false)));
$("again").addEventListener("click", renew);
addEventListener("online", renew);
addEventListener("offline", () => offline(true));

renew();
listen(renew, ask);
setInterval(ask, STATUS_EVERY);
