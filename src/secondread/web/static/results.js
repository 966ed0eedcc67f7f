// The readings on the page: newest first, filtered, removed with undo, downloaded.

import { makeCard, said } from "./card.js";
import { announce, ask, byId, el, icon, t, toast } from "./page.js";

const KINDS = [["positive", t("Positive")], ["uncertain", t("Uncertain")], ["negative", t("Negative")], ["refused", t("Not read")]];

export class Results {
  #all = []; // the newest batch first, each in the order of its files
  #removed = []; // what Undo brings back
  #shown = "all";
  #count = 0;
  #keeping = true; // false while what was kept is being shown again

  /** tasks: [{ name, title }]; acts: { readAs, retry, enlarge }. */
  constructor(tasks, acts) {
    this.tasks = tasks;
    this.acts = { ...acts, close: (result) => this.remove([result]) };
    byId("toast-close").addEventListener("click", () => this.#forget());
    byId("hidden-show").addEventListener("click", () => this.#filterBy("all"));
  }

  get all() {
    return [...this.#all];
  }

  get visible() {
    return this.#all.filter(({ element }) => !element.hidden);
  }

  /** Shows the entry of the API for a file, or the problem that kept it from being sent, instead of `before` if given. */
  show({ file, name, order, before, asked }, entry, problem = null) {
    const status = problem ? "failed" : entry.refusal ? "refused" : entry.decision;
    const result = { id: ++this.#count, file, name, order, asked, entry, problem, status };
    Object.assign(result, { imageUrl: entry?.display.image, heatmapUrl: entry?.heatmap });
    makeCard(result, this.tasks, this.acts);
    if (entry && !entry.id) result.drawn = entry.drawn; // only this page knows it
    if (entry) entry.drawn = null; // it is on the card
    result.fresh = this.#keeping;
    this.#put(result, before);
    return result;
  }

  /** Shows again what this tab showed before it was left: what the server keeps, out of its store. */
  async restore() {
    const kept = keptBefore();
    if (!kept.length) return;
    const ids = kept.map(({ id }) => id).filter(Boolean);
    const found = new Map();
    for (let at = 0; at < ids.length; at += 50) {
      const { readings } = await ask(`/read?ids=${ids.slice(at, at + 50)}`);
      for (const entry of readings) found.set(entry.id, entry);
    }
    this.#keeping = false;
    for (const { id, name, order, asked, entry, problem } of kept) {
      if (id && !found.has(id)) continue; // removed since
      this.show({ file: null, name, order, asked }, id ? found.get(id) : entry, problem);
    }
    this.#keeping = true;
    this.#refresh();
  }

  /** The number of the last batch that is kept. */
  get lastBatch() {
    return Math.max(0, ...keptBefore().map(({ order }) => order.batch));
  }

  remove(results) {
    if (!results.length) return;
    this.#forget();
    this.#removed = results.map((result) => ({ result, at: this.#all.indexOf(result) }));
    const focused = results.some(({ element }) => element.contains(document.activeElement));
    for (const { element } of results) element.remove();
    this.#all = this.#all.filter((result) => !results.includes(result));
    this.#refresh();
    const what = results.length === 1 ? t("{name} removed", { name: results[0].name }) : t("{n} readings removed", { n: results.length });
    toast(what, () => this.undo());
    if (focused || results.length > 1) byId("undo").focus();
  }

  undo() {
    for (const { result, at } of this.#removed) {
      this.#all.splice(at, 0, result);
      byId("results").insertBefore(result.element, byId("results").children[at] ?? null);
    }
    const back = this.#removed[0]?.result.element;
    this.#removed = [];
    byId("toast").hidden = true;
    this.#refresh();
    back?.focus();
  }

  /** The contract of `secondread read --json` for every reading, in the order they were given, as one file. */
  async download() {
    const rows = [];
    for (const { entry, heatmapUrl } of this.all.sort(asGiven)) {
      if (!entry) continue;
      const { display, drawn, id, stored, from_store, ...contract } = entry; // what is kept stays here
      const map = heatmapUrl && (await (await fetch(heatmapUrl)).blob());
      rows.push({ ...contract, heatmap: map && (await dataUriOf(map)) });
    }
    const text = JSON.stringify({ readings: rows }, null, 1);
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
    el("a", { href: address, download: `readings-${stamp}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  #put(result, before) {
    const at = before ? this.#all.indexOf(before) : -1;
    if (at >= 0) {
      const focused = before.element.contains(document.activeElement);
      this.#all[at] = result;
      before.element.replaceWith(result.element);
      if (focused) result.element.focus();
    } else {
      const place = this.#all.findIndex((other) => inOrder(result, other) < 0);
      const index = place < 0 ? this.#all.length : place;
      byId("results").insertBefore(result.element, this.#all[index]?.element ?? null);
      this.#all.splice(index, 0, result);
    }
    this.#refresh();
  }

  #forget() {
    this.#removed = [];
    byId("toast").hidden = true;
  }

  #refresh() {
    const counts = Object.groupBy(this.#all, kindOf);
    if (this.#shown !== "all" && !counts[this.#shown]) this.#shown = "all";
    for (const result of this.#all) {
      result.element.hidden = this.#shown !== "all" && kindOf(result) !== this.#shown;
      if (!result.element.hidden) result.fresh = false;
    }
    const unseen = this.#all.filter(({ fresh }) => fresh).length; // came in since the filter was set, and does not fit it
    byId("hidden-note").hidden = unseen === 0;
    byId("hidden-text").textContent = unseen ? t("New, but hidden by the filter: {n}", { n: unseen }) : "";
    byId("summary").hidden = this.#all.length === 0;
    document.body.classList.toggle("working", this.#all.length > 0);
    this.#refreshFilters(counts);
    if (this.#keeping) keep(this.#all);
    this.onChange?.(this.#all);
  }

  #refreshFilters(counts) {
    const focused = document.activeElement?.dataset?.kind;
    const kinds = KINDS.filter(([kind]) => counts[kind]).map(([kind, text]) => [kind, text, counts[kind].length]);
    byId("filters").replaceChildren(...[["all", t("All"), this.#all.length], ...kinds].map(([kind, text, n]) => this.#filter(kind, text, n)));
    if (focused) byId("filters").querySelector(`[data-kind="${focused}"]`)?.focus();
  }

  #filterBy(kind) {
    this.#shown = kind;
    for (const result of this.#all) result.fresh = false;
    this.#refresh();
  }

  #filter(kind, text, n) {
    const pressed = this.#shown === kind ? "true" : "false";
    const mark = kind === "all" ? null : icon(kind);
    return el("button", { type: "button", class: `filter ${kind}`, "data-kind": kind, "aria-pressed": pressed, onclick: () => this.#filterBy(kind) }, mark, `${text} `, el("b", { class: "number" }, String(n)));
  }
}

/** Two files are read at a time, so answers may overtake each other; their order on the page does not change. */
const inOrder = (a, b) => b.order.batch - a.order.batch || a.order.index - b.order.index;
const asGiven = (a, b) => a.order.batch - b.order.batch || a.order.index - b.order.index;
const kindOf = ({ status }) => (status === "failed" ? "refused" : status);

const PLACE = "readings:";
const place = () => PLACE + byId("main").dataset.user;

/** What this tab showed before: numbers of readings that the server keeps, and what only the page knew. */
function keptBefore() {
  try {
    return JSON.parse(sessionStorage.getItem(place()) ?? "[]");
  } catch {
    return [];
  }
}

/** Keeps in this tab which readings it shows, to show them again after a reload or on the way back; of nobody else. */
function keep(all) {
  const rows = all.map(({ entry, drawn, name, order, asked, problem }) => {
    const row = { id: entry?.id ?? null, name, order, asked, problem };
    return row.id || !entry ? row : { ...row, entry: { ...entry, drawn } };
  });
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(PLACE) && key !== place()) sessionStorage.removeItem(key);
    sessionStorage.setItem(place(), JSON.stringify(rows));
  } catch {
    // Private windows may forbid it, or it is full: then the worklist has them.
  }
}

/** Says a result to a screen reader. */
export function sayResult(result) {
  const { answer, share, why } = said(result);
  announce(`${result.name}: ${[answer, share].filter(Boolean).join(", ")}. ${why}`);
}

function dataUriOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
