// What the scripts of every page share: words, elements, the server, single-key shortcuts, the toast.

import { addKeys, pressed, sheetOfKeys } from "./keys.js";
import { tellChange, toLogin, typedAgain } from "./session.js";

const language = document.documentElement.lang;
const words = language === "en" ? {} : (await import(`/words/${language}.js`)).default;

/** The sentence in the page's language, by the English one; "{name}" stands for values.name. */
export function t(sentence, values = {}) {
  return (words[sentence] ?? sentence).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** What an error says: its own sentence where that is translated, else its code's, and the English one behind. */
function told({ detail, code }) {
  if (words[detail] || language === "en") return t(detail);
  const sentence = words[`code:${code}`];
  return sentence && !detail.startsWith(sentence) ? `${sentence} (${detail})` : detail; // the server may have said it in this language
}

export const byId = (id) => document.getElementById(id);

/** An element: el("p", { class: "quiet", onclick: f }, "text", child, null, …). Text never becomes markup. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of SVG. */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** One of the symbols that the page carries. */
export function icon(name) {
  const symbol = svg("svg", { class: "icon", "aria-hidden": "true" });
  symbol.append(svg("use", { href: `#i-${name}` }));
  return symbol;
}

/** A piece of a page as the server drew it, with every name in it escaped. */
export function drawn(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

const kept = new Map(); // what was chosen on this page, where the browser keeps nothing

/** A value kept in this browser, or the fallback. */
export function remembered(key, fallback) {
  try {
    return kept.get(key) ?? localStorage.getItem(key) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keeps a value in this browser where that is allowed, else as long as the page is open. */
export function remember(key, value) {
  kept.set(key, String(value));
  try {
    localStorage.setItem(key, value);
  } catch {
    // Private windows may forbid it.
  }
}

/** Under which name it is kept whether something is drawn over an image: apart for negatives, which ask for nothing. */
export const drawnKey = (what, decision) => (decision === "negative" ? `${what}-negative` : what);

/** Whether it is drawn: on positives and what is uncertain, on a negative only where someone has asked for it. */
export const isDrawn = (what, decision) => remembered(drawnKey(what, decision), decision === "negative" ? "off" : "on") === "on";

/**
 * A JSON answer of the server; XMLHttpRequest, since fetch tells no progress of sending.
 *
 * fits(status, body): which answers count, those of 2xx otherwise; onSent(share): while a body is sent.
 * Rejects with an Error whose message is a sentence, or with an AbortError once the signal says so.
 */
export function ask(path, { method = "GET", body = null, headers = {}, signal, fits = (status) => status < 300, onSent } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.onload = () => {
      let found = {};
      try {
        found = JSON.parse(request.responseText);
      } catch {
        // Told by the status below.
      }
      if (request.status === 401) toLogin();
      if (fits(request.status, found)) {
        if (method !== "GET") tellChange();
        resolve(found);
      } else if (request.status === 401) reject(new Error(t("Your session has ended. Log in to go on.")));
      else reject(new Error(found.detail ? told(found) : t("The server answered {status}. Try again.", { status: request.status })));
    };
    request.onerror = () => {
      const sentence = body ? t("The server could not be reached, or the file changed while it was sent. Check that it runs, then try again.") : t("The server could not be reached. Check that it runs, then try again.");
      reject(new Error(sentence));
    };
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    if (onSent) request.upload.onprogress = ({ loaded, total }) => onSent(loaded / total);
    request.open(method, path);
    const token = document.querySelector('meta[name="csrf-token"]')?.content; // where someone is logged in
    for (const [name, value] of Object.entries(token ? { ...headers, "X-CSRF-Token": token } : headers)) request.setRequestHeader(name, value);
    signal?.addEventListener("abort", abort);
    request.send(body);
    if (signal?.aborted) abort();
  });
}

let spoken = 0;

/** Says a sentence to a screen reader. */
export function announce(sentence) {
  spoken += 1;
  // A no-break space now and then: the same sentence twice would not be said again.
  byId("live").textContent = sentence + (spoken % 2 ? "\u00a0" : "");
}

let hiding;

/** Shows a sentence at the bottom of the page; with undo, a button beside it. */
export function toast(sentence, undo = null) {
  clearTimeout(hiding);
  byId("toast-text").textContent = sentence;
  byId("undo").hidden = !undo;
  byId("undo").onclick = () => {
    byId("toast").hidden = true;
    undo?.();
  };
  byId("toast").hidden = false;
  announce(sentence);
  if (!undo) hiding = setTimeout(() => (byId("toast").hidden = true), 8000);
}

/**
 * Binds a page's single-key shortcuts and those of every page, and lists them with all others (WCAG 2.1.4: they can be
 * turned off); see addKeys in keys.js for what a row is.
 */
export function bindPage(shortcuts) {
  const help = byId("help");
  const on = byId("keys-on");
  on.checked = remembered("keys", "on") === "on";
  on.addEventListener("change", () => remember("keys", on.checked ? "on" : "off"));
  addKeys(t("Page"), [...shortcuts, [["t"], t("Theme"), () => byId("theme").click()], [["?"], t("Show this list"), () => help.showModal()]]);
  byId("shortcuts").append(...sheetOfKeys(el));
  byId("keys").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (!help.open && !event.defaultPrevented) pressed(event, on.checked);
  });
}

if (typedAgain) {
  const told = t("You are logged in again. What you typed is here, but was not saved yet.");
  if (byId("toast")) toast(told);
  else document.querySelector("form[data-keep]").before(el("p", { class: "said not-printed", role: "status" }, told));
}

// A page without a script of its own loads this one by itself.
if (byId("help") && document.querySelector('script[src$="/page.js"]')) bindPage([]);
