// Uploads: files, folders and archives go to the queue of the server, which is asked how each upload stands.

import { announce, ask, bindPage, byId, el, t } from "./page.js";
import { Queue, leftBehind, listen, warnWhile } from "./queue.js";
import { tellChange } from "./session.js";

const EVERY = 1000; // milliseconds between two looks at what is still being read
const open = new Map([...document.querySelectorAll(".batch[data-open]")].map((line) => [Number(line.dataset.id), line]));
const sending = new Queue(send, { atOnce: 1, onChange: showSending });
let looking = null; // the timer of the next look
let looks = 0;
let offering = null;

/** Queues files in as many uploads as the bounds of one request ask for; what was asked for then holds. */
function take(items) {
  byId("trouble").hidden = true;
  const { maxBodyMb, maxFiles } = byId("upload").dataset;
  const asked = { task: byId("task").value, source: byId("source").value };
  const parts = split(items, Number(maxBodyMb) * 0.95e6, Number(maxFiles));
  sending.add(parts.map((files) => ({ files, asked, key: newKey(), name: t("Sending {n} files", { n: files.length }) })));
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

async function send({ files, asked, key }, signal) {
  const form = new FormData();
  for (const { file, name } of files) form.append("image", file, name);
  for (const [name, value] of Object.entries(asked)) form.append(name, value);
  const onSent = (share) => (byId("sent").value = share);
  try {
    follow(await ask("/api/v1/batches", { method: "POST", body: form, headers: { "Idempotency-Key": key }, signal, onSent }));
  } catch (error) {
    if (error.name === "AbortError") return;
    tell(error);
    offer(sending.cancel()); // what follows would hardly fare better now
  }
}

/** crypto.randomUUID is not there on plain HTTP. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function stop() {
  const left = sending.cancel();
  if (left.length) announce(notSent(left));
  offer(left);
  byId("left-go-on").focus();
  return left.length > 0;
}

/** Offers to send what was not sent, under the same keys: what arrived after all is not taken in twice. */
function offer(left) {
  offering ??= leftBehind((items) => {
    byId("trouble").hidden = true;
    sending.add(items);
  });
  offering(left, notSent(left));
}

const notSent = (left) => t("Files not sent: {n}", { n: left.reduce((sum, { files }) => sum + files.length, 0) });

function showSending({ done, total, current, busy }) {
  byId("sending").hidden = !busy;
  byId("sent").value = 0;
  byId("sent-text").textContent = total > 1 ? `${current.join()} (${done + 1} / ${total})` : current.join();
}

function tell(error) {
  byId("trouble").textContent = error.message;
  byId("trouble").hidden = false;
}

/** Shows an upload, in a line of its own, and looks after it until its end. */
function follow(batch) {
  const line = document.querySelector(`.batch[data-id="${batch.id}"]`) ?? newLine(batch);
  update(line, batch);
  if (!batch.finished) open.set(batch.id, line);
  look();
}

function newLine({ id, source }) {
  byId("no-uploads")?.remove();
  const name = t("Upload {n}", { n: id });
  const buttons = [["cancel", t("Cancel")], ["retry", t("Try again")]].map(([what, text]) => el("button", { type: "button", class: what }, text));
  const line = el(
    "li",
    { class: "panel batch", "data-id": id },
    el("p", {}, el("a", { href: `/worklist?batch=${id}` }, name), source ? ` · ${source}` : ""),
    el("p", {}, el("progress", { max: 1, value: 0, "aria-label": name }), el("span", { class: "counts number" }), buttons),
    el("p", { class: "quiet what-now" }, el("strong", {}, t("What to do now")), " ", el("span", {})),
  );
  byId("batches").prepend(line);
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
  const now = line.querySelector(".what-now");
  now.hidden = finished && !counts.failed;
  now.querySelector("span").textContent = finished ? byId("batches").dataset.failed : byId("batches").dataset.waiting;
  const [cancel, retry] = [line.querySelector(".cancel"), line.querySelector(".retry")];
  if (cancel) cancel.hidden = finished;
  if (retry) retry.hidden = !finished || !(counts.failed + counts.cancelled);
}

/** Asks how all open uploads stand, again and again while there are any; a server that is away is asked later. */
async function look() {
  clearTimeout(looking);
  const turn = ++looks; // an answer to an earlier look may be older than what is known by now
  if (!open.size) return;
  try {
    const { batches } = await ask("/api/v1/batches?limit=100");
    if (turn !== looks) return;
    for (const batch of batches.filter(({ id }) => open.has(id))) {
      update(open.get(batch.id), batch);
      if (batch.finished && open.delete(batch.id)) tellChange();
    }
  } catch {
    // It may be starting again: nothing is lost there.
  }
  if (turn === looks) looking = setTimeout(look, EVERY);
}

byId("batches").addEventListener("click", async ({ target }) => {
  const what = ["cancel", "retry"].find((name) => target.classList.contains(name));
  if (!what) return;
  try {
    follow(await ask(`/api/v1/batches/${target.closest(".batch").dataset.id}/${what}`, { method: "POST" }));
  } catch (error) {
    tell(error);
  }
});

if (byId("upload")) {
  byId("upload").addEventListener("submit", (event) => event.preventDefault());
  byId("stop").addEventListener("click", stop);
  listen(take);
  warnWhile(sending);
}
look();
bindPage(
  byId("upload")
    ? [
        [["o"], t("Choose files or archives"), () => byId("choose").click()],
        [["f"], t("Choose a folder"), () => byId("choose-folder").click()],
        [["Esc"], t("Cancel"), () => sending.busy && stop()],
      ]
    : [],
);
