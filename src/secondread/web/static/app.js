// Wires the page together: files come in, are read one by one, and become cards.

import { stepKeys } from "./frames.js";
import { said } from "./card.js";
import { announce, ask, bindPage, byId, el, t } from "./page.js";
import { Viewer } from "./picture.js";
import { Queue, leftBehind, listen, warnWhile } from "./queue.js";
import { Results, sayResult } from "./results.js";
import { toggleBoxes } from "./boxes.js";

const radios = [...document.querySelectorAll("input[name=task]")];
const tasks = radios.filter(({ value }) => value !== "auto").map(({ value, dataset }) => ({ name: value, title: dataset.title, after: dataset.after }));
const viewer = new Viewer(titleOf, (result) => result?.element.focus());
const results = new Results(tasks, {
  readAs: (result, task) => takeAgain([result], task),
  retry: (result) => takeAgain([result]),
  enlarge: (result) => viewer.show(result, results.visible),
});
const queue = new Queue(read, { atOnce: 2, onChange: showProgress }); // both cores are busy, and the first answers come soon
const offer = leftBehind(goOn);
let bundles = [];
let batches = results.lastBatch;

listen(take);
warnWhile(queue);
results.restore().catch(() => {}); // the worklist has them, too
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
  const frame = result.element.querySelector(".frames-said")?.textContent; // which of several is shown
  return [answer, share, result.name, frame].filter(Boolean).join(" · ");
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
    if (!item.file) return finish(item, (await ask("/read/again", { method: "POST", body: againOf(item), signal })).readings[0]);
    if (item.file.size > most * 1e6) return finish(item, null, t("the file has more than the {most} MB allowed; export it smaller", { most }));
    const { readings } = await ask("/read", { method: "POST", body: formOf(item), signal, fits: (status, { readings: found }) => found });
    finish(item, readings[0]);
  } catch (error) {
    if (error.name !== "AbortError") finish(item, null, error.message);
  }
}

/** Of a file that this page does not hold any more, but the server does. */
function againOf({ before, asked: { task } }) {
  const form = new FormData();
  form.append("id", before.entry.id);
  form.append("task", task);
  return form;
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
  const sentence = t("Cancelled; {n} not read", { n: left.length });
  announce(sentence);
  offer(left, sentence);
  byId("left-go-on").focus();
  return true;
}

/** Reads what a cancel left unread. */
function goOn(items) {
  for (const { before } of items) if (before) before.again = true;
  queue.add(items);
  askWhatTheyShow(results.all);
}

/** Where several images do not say what they show, one answer serves for all. */
function askWhatTheyShow(all) {
  const open = all.filter(({ file, entry, again }) => entry?.refusal?.code === "task_unknown" && !again && (file || entry.id));
  byId("asking").hidden = open.length < 2;
  if (open.length < 2) return;
  byId("asking-text").textContent = t("{n} images do not say what they show. Read all as", { n: open.length });
  const as = (task) => () => takeAgain(open, task);
  byId("asking-tasks").replaceChildren(...tasks.filter(({ after }) => !after).map(({ name, title }) => el("button", { type: "button", onclick: as(name) }, title)));
}

/** The model and operating point are asked for only where there is a choice. */
function showChoices() {
  const mine = bundles.filter(({ task }) => task === chosenTask());
  byId("bundle").replaceChildren(...mine.map(({ name, shipped }) => el("option", { value: name }, shipped ? name : t("{name} (your own)", { name }))));
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

/** On the scale of the scores; a point to confirm that calls no fewer images positive does not pass for one. */
function pointInShort(point) {
  const { positive_from: positive, uncertain_from: uncertain } = point;
  const where = uncertain === null ? t("from {n}", { n: positive }) : t("uncertain from {low}, positive from {n}", { low: uncertain, n: positive });
  const but = [point.guaranteed === false && t("not shown everywhere"), point.below_screening && t("confirms nothing")].filter(Boolean);
  return `${t(point.name)} (${[where, ...but].join(", ")})`;
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
  ...stepKeys,
  [["h"], t("Heat map on or off: of the reading in focus, else of all"), toggleHeat],
  [["v"], t("Boxes on or off"), () => toggleBoxes()],
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
