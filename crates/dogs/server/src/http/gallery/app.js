// The gallery. Plain browser JavaScript: no build, no dependency.

import { offline } from "./api.js";
import { breeds, load, onOpen, reload } from "./dogs.js";
import "./forms.js";
import { listen } from "./live.js";
import { $, busy, showMessage } from "./page.js";
import { status } from "./status.js";
import { view } from "./viewer.js";

const STATUS_INTERVAL = 10_000;

const refreshStatus = () => status().catch(() => {});

/** Reloads everything that is shown. */
function reloadAll() {
  showMessage(null, "more-message");
  return Promise.allSettled([status(), reload(), breeds()]);
}

onOpen((id) => view(id).catch((error) => showMessage(error, "more-message")));
$("more").addEventListener("click", () => busy($("more"), "more-message", () => load(false)));
$("again").addEventListener("click", reloadAll);
addEventListener("online", reloadAll);
addEventListener("offline", () => offline(true));

reloadAll();
listen(reloadAll, refreshStatus);
setInterval(refreshStatus, STATUS_INTERVAL);
