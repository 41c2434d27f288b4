// Small things for the page: elements, messages, times. Text from the API only ever becomes text.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Shows what went wrong in the place with this id; nothing takes the message away. */
export function complain(error, place) {
  const element = $(place);
  const text = error ? sentence(error.message ?? String(error)) : "";
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !error;
}

/** Tells people who cannot see the page what their doing led to. */
export function announce(text) {
  $("told").textContent = text;
}

/** Does work that a button asks for, once at a time. The button keeps the focus meanwhile. */
export async function busy(button, place, work) {
  if (button.ariaDisabled === "true") return undefined;
  button.ariaDisabled = "true";
  complain(null, place);
  try {
    return await work();
  } catch (error) {
    complain(error, place);
    return undefined;
  } finally {
    button.ariaDisabled = null;
  }
}

export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
export const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const whole = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });

const UNITS = [["minute", 60], ["hour", 24], ["day", 7]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago it was, in words. */
export function ago(time) {
  let span = (Date.now() - new Date(time)) / 60_000;
  if (span < 1) return "just now";
  for (const [unit, most] of UNITS) {
    if (span < most) return RELATIVE.format(-Math.floor(span), unit);
    span /= most;
  }
  return new Date(time).toLocaleDateString([], { dateStyle: "medium" });
}

/** A moment in words that stay true while the page is open. */
export const moment = (time) => make("time", { dateTime: time, title: whole(time), textContent: ago(time), className: "ago" });

setInterval(() => document.querySelectorAll("time.ago").forEach((time) => {
  const text = ago(time.dateTime);
  if (time.textContent !== text) time.textContent = text;
}), 20_000);

/** A size as people write it. */
export function size(bytes) {
  const mebibytes = bytes / (1024 * 1024);
  if (mebibytes < 1) return `${Math.max(1, Math.round(bytes / 1024))} kB`;
  return `${mebibytes < 10 ? Math.round(mebibytes * 10) / 10 : Math.round(mebibytes)} MB`;
}
