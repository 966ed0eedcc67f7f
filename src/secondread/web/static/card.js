// A card: a file's picture, its answer as the server drew it, and what can be done with it.

import { drawn, el, icon, t } from "./page.js";
import { picture } from "./picture.js";

const OF_THE_TASK = new Set(["task_unknown", "wrong_kind", "wrong_part", "outside_use", "unlike_training"]); // another may read it

/**
 * Puts the card of a result into result.element and its picture's controls into result.picture.
 * acts: { close, readAs, retry, enlarge }, each called with the result; tasks: [{ name, title }].
 */
export function makeCard(result, tasks, acts) {
  const { entry, status } = result;
  const id = `card-${result.id}`;
  const body = el("div", { class: "body" }, title(result, id, acts), entry ? drawn(entry.drawn) : failure(result, acts));
  const task = entry?.task ?? result.asked?.task;
  const others = tasks.filter(({ name, after }) => name !== task && (!after || (after === task && entry?.decision !== "negative"))); // a task that follows another, after that one's yes
  const fits = result.file || entry?.id; // what can be read again
  if (fits && OF_THE_TASK.has(entry?.refusal?.code)) body.append(readAs(result, others, acts));
  else if (fits && entry?.decision) body.append(el("details", { class: "read-as-too" }, el("summary", {}, t("Read as another task")), readAs(result, others, acts)));
  body.querySelector(".decision").id = `${id}-says`;
  result.picture = null;
  result.element = el("li", { class: `card ${status}`, id, tabindex: "-1", "aria-labelledby": `${id}-name ${id}-says` });
  result.boxes = body.querySelector("svg.boxes");
  result.boxes?.remove();
  if (result.imageUrl) result.element.append(pane(result, acts));
  result.element.append(body);
  result.element.querySelector(".pane")?.append(...body.querySelectorAll(".frames")); // below the picture that they change
}

/** What the card says: { answer, share, why }, each a sentence or empty. */
export function said({ element }) {
  const text = (selector) => element.querySelector(`.card-answer ${selector}`)?.textContent ?? "";
  return { answer: text(".decision strong"), share: text(".figure"), why: text(".decision span") || text(".reason") };
}

function title(result, id, acts) {
  const close = el("button", { type: "button", class: "plain", "aria-label": t("Remove {name}", { name: result.name }), onclick: () => acts.close(result) }, icon("close"));
  return el("div", { class: "title" }, el("h2", { id: `${id}-name`, title: result.name }, result.name), close);
}

function readAs(result, tasks, acts) {
  const buttons = tasks.map(({ name, title: text }) => el("button", { type: "button", onclick: () => acts.readAs(result, name) }, text));
  return el("div", { class: "read-as", role: "group", "aria-label": t("Read {name} as", { name: result.name }) }, el("span", {}, t("Read as")), buttons);
}

/** No answer came, so here the page has to speak for itself. */
function failure(result, acts) {
  const again = result.file ? el("button", { type: "button", onclick: () => acts.retry(result) }, t("Try again")) : el("p", {}, t("Choose the file again."));
  const head = el("div", { class: "decision" }, icon("refused"), el("p", {}, el("strong", {}, t("Not sent"))));
  return el("div", { class: "card-answer refused" }, head, el("p", { class: "reason" }, sentence(result.problem)), again);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!।)]$/.test(text) ? "" : ".");

function pane(result, acts) {
  result.picture = picture(result);
  const enlarge = el(
    "button",
    { type: "button", class: "enlarge", "aria-label": t("Enlarge {name}", { name: result.name }), "aria-keyshortcuts": "e", onclick: () => acts.enlarge(result) },
    icon("enlarge"),
  );
  return el("div", { class: "pane" }, result.picture.frame, result.picture.controls, enlarge);
}
