// Uploads: files, folders and archives go to the queue; how each upload stands is followed live.

import { byId, el } from "./dom.js";
import { listen } from "./intake.js";
import { ask, bindPage } from "./places.js";
import { t, told } from "./words.js";

const followed = new Set();

/** Sends files in as many uploads as the bounds of one request ask for. */
async function send(items) {
  byId("trouble").hidden = true;
  const form = byId("upload");
  const parts = split(items, Number(form.dataset.maxBodyMb) * 0.95e6, Number(form.dataset.maxFiles));
  try {
    for (const [number, part] of parts.entries()) follow(show(await submit(part, number, parts.length)));
  } catch (error) {
    byId("trouble").textContent = error.message;
    byId("trouble").hidden = false;
  }
  byId("sending").hidden = true;
}

function split(items, mostBytes, mostFiles) {
  const parts = [[]];
  let bytes = 0;
  for (const item of items) {
    if (parts.at(-1).length && (bytes + item.file.size > mostBytes || parts.at(-1).length >= mostFiles)) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1).push(item);
    bytes += item.file.size + 500;
  }
  return parts;
}

/** Resolves to the upload as the server took it; XMLHttpRequest, since fetch tells no progress of sending. */
function submit(items, number, of) {
  const form = new FormData();
  for (const { file, name } of items) form.append("image", file, name);
  form.append("task", byId("task").value);
  form.append("source", byId("source").value);
  byId("sending").hidden = false;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const place = of > 1 ? ` (${number + 1} / ${of})` : "";
    request.upload.onprogress = ({ loaded, total }) => {
      byId("sent").value = loaded / total;
      byId("sent-text").textContent = t("Sending {n} files", { n: items.length }) + place;
    };
    request.onload = () => {
      let body = {};
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // Told by the status below.
      }
      if (request.status === 201) resolve(body);
      else reject(new Error(body.detail ? told({ message: body.detail, code: body.code }) : t("The server answered {status}. Try again.", { status: request.status })));
    };
    request.onerror = () => reject(new Error(t("The server could not be reached. Check that it runs, then try again.")));
    request.open("POST", "/api/v1/batches");
    const token = document.querySelector('meta[name="csrf-token"]')?.content;
    if (token) request.setRequestHeader("X-CSRF-Token", token);
    request.setRequestHeader("Idempotency-Key", newKey());
    request.send(form);
  });
}

/** crypto.randomUUID is not there on plain HTTP. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The line of an upload, made where it is not there yet. */
function show(batch) {
  let line = document.querySelector(`.batch[data-id="${batch.id}"]`);
  if (!line) {
    byId("no-uploads")?.remove();
    const name = t("Upload {n}", { n: batch.id });
    line = el("li", { class: "panel batch", "data-id": batch.id });
    line.append(
      el("p", {}, el("a", { href: `/worklist?batch=${batch.id}` }, name), batch.source ? ` · ${batch.source}` : ""),
      el("p", {}, el("progress", { max: 1, value: 0, "aria-label": name }), el("span", { class: "counts number" }), el("button", { type: "button", class: "cancel" }, t("Cancel")), el("button", { type: "button", class: "retry" }, t("Try again"))),
    );
    byId("batches").prepend(line);
  }
  update(line, batch);
  return line;
}

function update(line, { n, counts, finished }) {
  const bar = line.querySelector("progress");
  bar.max = Math.max(n, 1);
  bar.value = n - counts.queued - counts.running;
  const parts = [t("{done} of {all} read", { done: counts.done + counts.refused, all: n })];
  if (counts.refused) parts.push(t("{n} of them refused", { n: counts.refused }));
  if (counts.failed) parts.push(t("{n} failed", { n: counts.failed }));
  if (counts.cancelled) parts.push(t("{n} cancelled", { n: counts.cancelled }));
  line.querySelector(".counts").textContent = parts.join(", ");
  const [cancel, retry] = [line.querySelector(".cancel"), line.querySelector(".retry")];
  if (cancel) cancel.hidden = finished;
  if (retry) retry.hidden = !finished || !(counts.failed + counts.cancelled);
}

/** Follows an upload until its end; the stream closes now and then and is opened again by the browser. */
function follow(line) {
  const { id } = line.dataset;
  if (followed.has(id)) return;
  followed.add(id);
  const events = new EventSource(`/api/v1/batches/${id}/events`);
  events.addEventListener("progress", ({ data }) => update(line, JSON.parse(data)));
  events.addEventListener("done", ({ data }) => {
    update(line, JSON.parse(data));
    events.close();
    followed.delete(id);
  });
}

byId("batches").addEventListener("click", async ({ target }) => {
  const what = ["cancel", "retry"].find((name) => target.classList.contains(name));
  if (!what) return;
  const line = target.closest(".batch");
  try {
    update(line, await ask(`/api/v1/batches/${line.dataset.id}/${what}`, { method: "POST" }));
    if (what === "retry") follow(line);
  } catch (error) {
    byId("trouble").textContent = error.message;
    byId("trouble").hidden = false;
  }
});

if (byId("upload")) {
  byId("upload").addEventListener("submit", (event) => event.preventDefault());
  listen(send);
}
document.querySelectorAll(".batch[data-open]").forEach(follow);
bindPage(byId("upload") ? [[["o"], t("Choose files or archives"), () => byId("choose").click()], [["f"], t("Choose a folder"), () => byId("choose-folder").click()]] : []);
