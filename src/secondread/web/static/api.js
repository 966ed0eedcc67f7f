// Speaks to the server.

import { t, told } from "./words.js";

/** A sentence from the server, or about reaching it. */
export class Problem extends Error {}

/** Reads one file; resolves to the entry of the API, whatever its refusal. Rejects with Problem or AbortError. */
export async function readFile(file, name, { task, bundle, point }, signal) {
  const form = new FormData();
  form.append("image", file, name);
  form.append("task", task);
  if (bundle) form.append("bundle", bundle);
  if (point) form.append("operating_point", point);
  const answer = await send("/api/v1/readings", { method: "POST", body: form, signal });
  return answer.readings[0];
}

/** The bundles with their operating points and what was measured; empty where the server cannot say. */
export async function fetchBundles() {
  try {
    return (await send("/api/v1/bundles", {})).bundles;
  } catch {
    return [];
  }
}

/** The tasks with their limits. */
export async function fetchTasks() {
  try {
    return (await send("/api/v1/tasks", {})).tasks;
  } catch {
    return [];
  }
}

async function send(path, options) {
  let response, body;
  try {
    const token = document.querySelector('meta[name="csrf-token"]')?.content; // where someone is logged in
    if (token) options.headers = { ...options.headers, "X-CSRF-Token": token };
    response = await fetch(path, options);
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error; // cancelled, be it while sending or while receiving
    if (response && !response.ok) throw new Problem(t("The server answered {status}. Try again.", { status: response.status }));
    throw new Problem(t("The server could not be reached, or the file changed while it was sent. Check that it runs, then try again."));
  }
  if (body.readings || response.ok) return body;
  throw new Problem(body.detail ? told({ message: body.detail, code: body.code }) : t("The server answered {status}. Try again.", { status: response.status }));
}

/** The bytes behind a data: URI: object URLs keep hundreds of pictures out of the page's memory. */
export function blobOf(dataUri) {
  const [head, body] = dataUri.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}

/** The data: URI of bytes. */
export function dataUriOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
