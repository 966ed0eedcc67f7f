// Wires the page together: files come in, are read one by one, and become cards.

import { said } from "./card.js";
import { announce, ask, bindPage, byId, el, t } from "./page.js";
import { Viewer } from "./picture.js";
import { Queue, listen } from "./queue.js";
import { Results, sayResult } from "./results.js";

const radios = [...document.querySelectorAll("input[name=task]")];
const tasks = radios.filter(({ value }) => value !== "auto").map(({ value, dataset }) => ({ name: value, title: dataset.title }));
const viewer = new Viewer(titleOf, (result) => result?.element.focus());
const results = new Results(tasks, {
  readAs: (result, task) => takeAgain([result], task),
  retry: (result) => takeAgain([result]),
  enlarge: (result) => viewer.show(result, results.visible),
});
const queue = new Queue(read, { atOnce: 2, onChange: showProgress }); // both cores are busy, and the first answers come soon
let bundles = [];
let batches = 0;

listen(take);
results.onChange = askWhatTheyShow;
for (const radio of radios) radio.addEventListener("change", showChoices);
byId("bundle").addEventListener("change", showPoints);
byId("cancel").addEventListener("click", cancel);
byId("download").addEventListener("click", () => results.download());
byId("clear").addEventListener("click", () => results.remove(results.all));

ask("/api/v1/bundles")
  .then((found) => (bundles = found.bundles))
  .catch(() => {}) // then there is no choice, and the server takes its own
  .then(showChoices);

function chosenTask() {
  return radios.find(({ checked }) => checked).value;
}

function titleOf(result) {
  const { answer, share } = said(result);
  return [answer, share, result.name].filter(Boolean).join(" · ");
}

/** Queues files as they are to be read now: a choice made later does not change what was dropped before. */
function take(items) {
  const bundle = byId("bundle-choice").hidden ? "" : byId("bundle").value;
  const point = byId("point-choice").hidden ? "" : byId("point").value;
  const asked = { task: chosenTask(), bundle, point };
  const batch = ++batches;
  const numbered = items.map((item, index) => ({ order: { batch, index }, ...item }));
  queue.add(numbered.map((item) => ({ ...item, asked: item.task ? { task: item.task } : item.asked ?? asked })));
}

/** Reads files once more, each card to be replaced; with another task where one is given. Asked twice, it reads once. */
function takeAgain(found, task) {
  const open = found.filter(({ again }) => !again);
  for (const result of open) result.again = true;
  take(open.map((result) => ({ file: result.file, name: result.name, order: result.order, asked: result.asked, before: result, task })));
  askWhatTheyShow(results.all);
}

async function read(item, signal) {
  const most = Number(byId("main").dataset.maxFileMb);
  try {
    if (item.file.size > most * 1e6) return finish(item, null, t("the file has more than the {most} MB allowed; export it smaller", { most }));
    const { readings } = await ask("/read", { method: "POST", body: formOf(item), signal, fits: (status, { readings: found }) => found });
    finish(item, readings[0]);
  } catch (error) {
    if (error.name !== "AbortError") finish(item, null, error.message);
  }
}

function formOf({ file, name, asked: { task, bundle, point } }) {
  const form = new FormData();
  form.append("image", file, name);
  form.append("task", task);
  if (bundle) form.append("bundle", bundle);
  if (point) form.append("operating_point", point);
  return form;
}

function finish(item, entry, problem) {
  const result = results.show(item, entry, problem);
  result.asked = item.asked;
  if (queue.total <= 3) sayResult(result);
}

function showProgress({ done, total, current, busy }) {
  queue.total = total;
  const started = byId("progress").hidden && busy;
  byId("progress").hidden = !busy;
  byId("progress-bar").max = total;
  byId("progress-bar").value = done;
  byId("progress-text").textContent = `${t("{done} of {all} read", { done, all: total })} · ${current.join(", ")}`;
  if (total <= 3) return;
  if (started) announce(t("Reading {n} images", { n: total }));
  if (!busy) announce(t("{n} images done", { n: total }));
}

function cancel() {
  if (!queue.busy) return false;
  const left = queue.cancel();
  for (const result of results.all) result.again = false;
  askWhatTheyShow(results.all);
  announce(t("Cancelled; {n} not read", { n: left }));
  return true;
}

/** Where several images do not say what they show, one answer serves for all. */
function askWhatTheyShow(all) {
  const open = all.filter(({ entry, again }) => entry?.refusal?.code === "task_unknown" && !again);
  byId("asking").hidden = open.length < 2;
  if (open.length < 2) return;
  byId("asking-text").textContent = t("{n} images do not say what they show. Read all as", { n: open.length });
  const as = (task) => () => takeAgain(open, task);
  byId("asking-tasks").replaceChildren(...tasks.map(({ name, title }) => el("button", { type: "button", onclick: as(name) }, title)));
}

/** The model and operating point are asked for only where there is a choice. */
function showChoices() {
  const mine = bundles.filter(({ task }) => task === chosenTask());
  byId("bundle").replaceChildren(...mine.map(({ name }) => el("option", { value: name }, name)));
  byId("bundle-choice").hidden = mine.length < 2;
  showPoints();
}

function showPoints() {
  const mine = bundles.filter(({ task }) => task === chosenTask());
  const points = (mine.find(({ name }) => name === byId("bundle").value) ?? mine[0])?.operating_points ?? [];
  const options = points.map((point) => el("option", { value: point.name, selected: point.chosen }, pointInShort(point)));
  byId("point").replaceChildren(...options);
  byId("point-choice").hidden = points.length < 2;
}

function pointInShort({ name, threshold, band, guaranteed }) {
  const where = (band ?? [threshold]).map((at) => at.toFixed(3)).join("–");
  return `${name} (${where}${guaranteed === false ? `, ${t("not proven")}` : ""})`;
}

function focused() {
  return results.visible.find(({ element }) => element.contains(document.activeElement));
}

function move(by) {
  if (viewer.open) return viewer.step(by);
  const cards = results.visible;
  const at = cards.indexOf(focused());
  const next = at < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, at + by));
  cards[next]?.element.focus();
}

function heat(act) {
  if (viewer.open) return act(viewer);
  const mine = focused() ? [focused()] : results.visible;
  mine.forEach(({ picture }) => picture && act(picture));
}

function toggleHeat() {
  if (viewer.open) return viewer.toggle();
  const mine = (focused() ? [focused()] : results.visible).filter(({ picture }) => picture?.controls);
  const on = !mine.some(({ element }) => element.querySelector(".heat:not([hidden])"));
  mine.forEach(({ picture }) => picture.toggle(on));
}

bindPage([
  [["o"], t("Choose images"), () => byId("choose").click()],
  [["f"], t("Choose a folder"), () => byId("choose-folder").click()],
  [["0", "1", "2", "3"], t("Read as: automatic, first, second, third task"), (key) => radios[Number(key)]?.click()],
  [["j", "k"], t("Next or previous reading"), (key) => move(key === "j" ? 1 : -1)],
  [["h"], t("Heat map on or off: of the reading in focus, else of all"), toggleHeat],
  [["[", "]"], t("Heat map weaker or stronger"), (key) => heat((one) => one.nudge(key === "[" ? -10 : 10))],
  [["e"], t("Enlarge the reading in focus, else the newest"), () => !viewer.open && enlarge()],
  [["d"], t("Download all readings as JSON"), () => results.all.length && results.download()],
  [["x"], t("Clear all"), () => results.remove(results.all)],
  [["u"], t("Undo"), () => results.undo()],
  [["Esc"], t("Cancel reading, close what is open"), () => !viewer.open && cancel()],
]);

function enlarge() {
  const result = focused() ?? results.visible[0];
  if (result?.imageUrl) viewer.show(result, results.visible);
}
