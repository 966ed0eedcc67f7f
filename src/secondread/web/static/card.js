// A card: one image's answer, or why there is none.

import { el, icon, percent } from "./dom.js";
import { evidence, evidenceInShort, knownLimits, promiseInShort } from "./evidence.js";
import { picture } from "./picture.js";
import { probabilityBar } from "./probability.js";
import { t, told } from "./words.js";

export const HEADLINE = { positive: t("Positive"), negative: t("Negative"), uncertain: t("Uncertain"), refused: t("Not read"), failed: t("Not sent") };

/**
 * Puts the card of a result into result.element and its picture's controls into result.picture.
 * acts: { close, readAs, retry, enlarge }, each called with the result; facts: { tasks, bundles }.
 */
export function makeCard(result, facts, acts) {
  const { entry, status } = result;
  const id = `card-${result.id}`;
  const body = el("div", { class: "body" }, title(result, id, acts), headline(result));
  if (status === "failed") body.append(failure(result, acts));
  else if (status === "refused") body.append(refusal(result, facts, acts));
  else body.append(...answer(entry, facts));
  result.picture = null;
  result.element = el("li", { class: `card ${status}`, id, tabindex: "-1", "aria-labelledby": `${id}-name ${id}-says` });
  if (result.imageUrl) result.element.append(pane(result, acts));
  result.element.append(body);
}

function title(result, id, acts) {
  const close = el("button", { type: "button", class: "plain", "aria-label": t("Remove {name}", { name: result.name }), onclick: () => acts.close(result) }, icon("close"));
  return el("div", { class: "title" }, el("h2", { id: `${id}-name`, title: result.name }, result.name), close);
}

function headline(result) {
  const { status, entry } = result;
  const words = entry?.display.decision_text;
  return el(
    "div",
    { class: "decision", id: `card-${result.id}-says` },
    icon(status === "failed" ? "refused" : status),
    el("p", {}, el("strong", {}, HEADLINE[status]), words ? el("span", {}, t(words)) : null),
    entry?.probability === null || !entry ? null : el("p", { class: "figure number" }, percent(entry.probability)),
  );
}

function answer(entry, { tasks, bundles }) {
  const task = tasks.find(({ name }) => name === entry.task);
  const warnings = entry.warnings.map((text) => el("li", {}, icon("warning"), el("span", {}, t(text))));
  return [
    probabilityBar(entry),
    warnings.length ? el("ul", { class: "warnings", "aria-label": t("Warnings") }, warnings) : null,
    factsOf(entry, bundles),
    evidence(entry, bundles),
    knownLimits(task),
  ].filter(Boolean);
}

function factsOf(entry, bundles) {
  const { display } = entry;
  const rows = [
    [t("Task"), t(display.task_title)],
    [t("Score"), t("{n} of 100", { n: entry.score })],
    [t("Image"), imageFacts(display)],
    [t("Read in"), milliseconds(display.elapsed_ms)],
    [t("Model"), entry.bundle],
    [t("Measured"), evidenceInShort(entry, bundles)],
    [t("Promise"), promiseInShort(entry, bundles)],
  ].filter(([, value]) => value);
  return el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function imageFacts({ format, width, height, bit_depth: depth, modality, body_part: part, frame, n_frames: frames }) {
  const facts = [[modality, part].filter(Boolean).join(" "), format, `${width} × ${height}`, `${depth} bit`];
  if (frames > 1) facts.push(t("frame {n} of {all}", { n: frame, all: frames }));
  return facts.filter(Boolean).join(" · ");
}

const milliseconds = (ms) => (ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function refusal(result, { tasks }, acts) {
  const { code } = result.entry.refusal;
  const box = el("div", { class: "reason" }, el("p", {}, sentence(told(result.entry.refusal))));
  if (code === "task_unknown") {
    const buttons = tasks.map(({ name, title: text }) => el("button", { type: "button", onclick: () => acts.readAs(result, name) }, t(text)));
    box.append(el("div", { class: "read-as", role: "group", "aria-label": t("Read {name} as", { name: result.name }) }, el("span", {}, t("Read as")), buttons));
  }
  return box;
}

function failure(result, acts) {
  const again = el("button", { type: "button", onclick: () => acts.retry(result) }, t("Try again"));
  return el("div", { class: "reason" }, el("p", {}, sentence(result.problem)), again);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!।]$/.test(text) ? "" : ".");

function pane(result, acts) {
  result.picture = picture(result);
  const enlarge = el(
    "button",
    { type: "button", class: "enlarge", "aria-label": t("Enlarge {name}", { name: result.name }), "aria-keyshortcuts": "e", onclick: () => acts.enlarge(result) },
    icon("enlarge"),
  );
  return el("div", { class: "pane" }, result.picture.frame, result.picture.controls, enlarge);
}
