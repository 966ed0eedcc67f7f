// What is known of the model behind a reading: measured numbers and limits.

import { el } from "./dom.js";
import { t } from "./words.js";

const NAMES = { sensitivity: t("Sensitivity"), specificity: t("Specificity"), uncertain: t("Uncertain"), roc_auc: "ROC AUC" };

/** The reading's operating point as its bundle describes it; undefined where the bundle is not known here. */
function pointOf(entry, bundles) {
  const bundle = bundles.find(({ id }) => id === entry.bundle);
  return bundle?.operating_points.find(({ name }) => name === entry.operating_point);
}

/** What is proven of the reading's operating point, in short; null where the bundle is not known here. */
export function promiseInShort(entry, bundles) {
  const point = pointOf(entry, bundles);
  if (!point) return null;
  if (point.guaranteed === null) return t("nothing promised: a fixed threshold");
  return point.guaranteed ? t("proven on validation images") : t("not proven: too few validation images");
}

/** What was measured at the reading's operating point, row by row. */
function rowsFor(entry, bundles) {
  const bundle = bundles.find(({ id }) => id === entry.bundle);
  return (bundle?.measured ?? []).filter((row) => row.operating_point === entry.operating_point);
}

/** Sensitivity and specificity in short, from the test images where there are any; null where nothing was measured. */
export function evidenceInShort(entry, bundles) {
  const rows = rowsFor(entry, bundles);
  const split = (rows.find((row) => row.split.startsWith("test")) ?? rows[0])?.split;
  const rates = rows.filter((row) => row.split === split && row.measure !== "roc_auc");
  if (!rates.length) return null;
  return [...rates.map(rate), t("on {split}", { split })].map((text) => el("div", {}, text));
}

function rate({ measure, value, low, high, n }) {
  const interval = low === null || high === null ? "" : `${Math.round(100 * low)}–${Math.round(100 * high)}; `;
  return `${NAMES[measure]?.toLowerCase() ?? measure} ${Math.round(100 * value)} % (${interval}n ${n})`;
}

/** The disclosure with all that was measured at the reading's operating point; null where nothing was. */
export function evidence(entry, bundles) {
  const rows = rowsFor(entry, bundles);
  if (!rows.length) return null;
  const head = [t("Measured on"), t("Value"), t("Interval, 95 %"), t("Images")].map((text) => el("th", { scope: "col" }, text));
  const parts = Object.entries(Object.groupBy(rows, ({ split }) => split));
  const table = el("table", {}, el("thead", {}, el("tr", {}, head)), parts.map(part));
  const chosenBy = el("p", {}, `${entry.operating_point}: ${pointOf(entry, bundles).chosen_by}.`);
  return el("details", {}, el("summary", {}, t("Evidence at this operating point")), chosenBy, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("Evidence") }, table));
}

function part([split, rows]) {
  return el("tbody", {}, el("tr", {}, el("th", { colspan: "4", scope: "rowgroup" }, split)), rows.map(measured));
}

function measured({ measure, value, low, high, n }) {
  const interval = low === null || high === null ? "–" : `${low.toFixed(3)} – ${high.toFixed(3)}`;
  const numbers = [value.toFixed(3), interval, n === null ? "–" : n.toLocaleString("en")];
  return el("tr", {}, el("td", {}, NAMES[measure] ?? measure), numbers.map((text) => el("td", { class: "number" }, text)));
}

/** The disclosure with the known limits of the task. */
export function knownLimits(task) {
  if (!task?.limits.length) return null;
  const limits = el("ul", {}, task.limits.map((limit) => el("li", {}, t(limit))));
  return el("details", {}, el("summary", {}, t("Known limits")), el("p", {}, t(task.intended_use)), limits);
}
