// The shortcuts that every page of the reading room has, and how its scripts speak to the server.

import { announce, byId } from "./dom.js";
import { bind } from "./keys.js";
import { t, told } from "./words.js";

/** Binds a page's shortcuts and those of every page. */
export function bindPage(shortcuts) {
  bind([...shortcuts, [["t"], t("Theme"), () => byId("theme").click()]]);
}

/** A JSON answer of the server. Rejects with an Error whose message is a sentence. */
export async function ask(path, options = {}) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...(token ? { "X-CSRF-Token": token } : {}) } });
  } catch {
    throw new Error(t("The server could not be reached. Check that it runs, then try again."));
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ? told({ message: body.detail, code: body.code }) : t("The server answered {status}. Try again.", { status: response.status }));
  return body;
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
