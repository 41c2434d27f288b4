// Elements, messages and times. Text from the API is only inserted as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Shows an error in the element with this id; without an error, hides the message. */
export function showMessage(error, target) {
  const element = $(target);
  const text = error ? sentence(error.message ?? String(error)) : "";
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !error;
}

/** Announces the result of an action to screen readers. */
export function announce(text) {
  $("announcement").textContent = text;
}

/** Runs the work of a button, at most once at a time. The button retains the focus. */
export async function busy(button, target, work) {
  if (button.ariaDisabled === "true") return undefined;
  button.ariaDisabled = "true";
  showMessage(null, target);
  try {
    return await work();
  } catch (error) {
    showMessage(error, target);
    return undefined;
  } finally {
    button.ariaDisabled = null;
  }
}

export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
export const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const dateTime = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });

const UNITS = [["minute", 60], ["hour", 24], ["day", 7]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** The age of a time as text. */
export function ago(time) {
  let span = (Date.now() - new Date(time)) / 60_000;
  if (span < 1) return "just now";
  for (const [unit, most] of UNITS) {
    if (span < most) return RELATIVE.format(-Math.floor(span), unit);
    span /= most;
  }
  return new Date(time).toLocaleDateString([], { dateStyle: "medium" });
}

/** An element with the age of a time, which is updated while the page is open. */
export const age = (time) => make("time", { dateTime: time, title: dateTime(time), textContent: ago(time), className: "ago" });

setInterval(() => document.querySelectorAll("time.ago").forEach((time) => {
  const text = ago(time.dateTime);
  if (time.textContent !== text) time.textContent = text;
}), 20_000);

/** A size as text. */
export function size(bytes) {
  const mebibytes = bytes / (1024 * 1024);
  if (mebibytes < 1) return `${Math.max(1, Math.round(bytes / 1024))} kB`;
  return `${mebibytes < 10 ? Math.round(mebibytes * 10) / 10 : Math.round(mebibytes)} MB`;
}
