// The worklist: through it by keyboard, more rows as they are needed, removing with undo, up to date with other tabs.

import { announce, ask, bindPage, byId, drawn, el, t, toast } from "./page.js";
import { differences, watch } from "./live.js";
import { fetched, onChange } from "./session.js";

const body = byId("rows");
let at = -1;
let undo = null;

const rows = () => (body ? [...body.querySelectorAll("tr[data-id]:not([hidden])")] : []);
const picked = () => rows().filter((row) => row.querySelector(".pick input").checked);
const nameOf = (row) => row.dataset.name || row.dataset.id;

function focus(index) {
  const all = rows();
  if (!all.length) return;
  at = Math.min(all.length - 1, Math.max(0, index));
  all.forEach((row, place) => row.classList.toggle("focused", place === at));
  (all[at].querySelector(".name a, .name button") ?? all[at]).focus();
  all[at].scrollIntoView({ block: "nearest" });
  if (at > all.length - 8) more();
}

/** Where the keyboard is: the row that holds the focus, else the last one it was in. */
function here() {
  const found = rows().findIndex((row) => row.contains(document.activeElement));
  return found < 0 ? at : found;
}

let loading = false;

async function more() {
  const link = byId("more");
  if (!link || loading) return;
  loading = true;
  let few = false; // a page may be short where a search goes through many rows: then the next one at once
  try {
    const { fresh, next } = await rowsAt(link.href);
    const known = new Set(rows().map((row) => row.dataset.id));
    body.append(...fresh.filter((row) => !known.has(row.dataset.id)));
    goOnAt(next);
    few = next && fresh.length < 10;
  } catch (error) {
    toast(error.message);
  } finally {
    loading = false;
  }
  if (few) await more();
}

/** The rows of a page of the list, and the address of the page after; null at the end. */
async function rowsAt(address) {
  const fresh = drawn(`<table><tbody>${await textOf(`${address}&part=rows`)}</tbody></table>`);
  return { fresh: [...fresh.querySelectorAll("tr[data-id]")], next: fresh.querySelector("tr.next a")?.getAttribute("href") ?? null };
}

async function textOf(address) {
  const response = await fetched(address, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(t("The server answered {status}. Try again.", { status: response.status }));
  return response.text();
}

const nearEnd = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "600px" });

/** Lets the list go on at an address, or end. */
function goOnAt(next) {
  const link = byId("more");
  if (!next) link?.parentElement.remove();
  else if (link) link.href = next;
  else {
    byId("table-scroll").after(el("p", { class: "more" }, el("a", { class: "button", id: "more", href: next }, t("More"))));
    nearEnd.observe(byId("more"));
  }
}

const REST = 15_000; // milliseconds after which a tab that comes to the front looks again
let seen = Date.now();
let outdated = false;
let waiting = null;
let refreshing = null;

/** Looks again soon, once for all that changes meanwhile; a tab in the background waits until it is looked at. */
function lookSoon() {
  outdated = true;
  clearTimeout(waiting);
  if (!document.hidden) waiting = setTimeout(refresh, 300);
}

/** The list as it is now, as far down as it is shown, with focus, selection and place where they were. */
async function refresh() {
  if (refreshing || loading) return lookSoon();
  refreshing = true;
  outdated = false;
  seen = Date.now();
  try {
    const page = new DOMParser().parseFromString(await textOf(location.href), "text/html");
    const fresh = [...page.querySelectorAll("#rows tr[data-id]")];
    if (!body || !fresh.length) return body || fresh.length ? location.reload() : undefined; // the page itself is another
    let next = page.getElementById("more")?.getAttribute("href") ?? null;
    for (const wanted = rows().length; next && fresh.length < wanted; ) {
      const part = await rowsAt(next);
      fresh.push(...part.fresh);
      next = part.next;
    }
    latest = { fresh, next };
    if (pointing()) keepStill(fresh);
    else putLatest();
    const [shown, now] = [byId("count"), page.getElementById("count")];
    if (shown.dataset.n !== now.dataset.n) announce(now.textContent);
    shown.dataset.n = now.dataset.n;
    shown.textContent = now.textContent;
  } catch {
    // The list stays as it was; whoever acts on it is told.
  } finally {
    refreshing = false;
  }
}

let latest = null; // rows that are newer than what is shown
let over = false; // a pointer rests on the list
let touched = 0; // when a finger last did

const TOUCHED = 4_000; // milliseconds after which a finger points at nothing any more
const pointing = () => over || Date.now() - touched < TOUCHED;
const seenOf = (some) => some.map((row) => ({ id: row.dataset.id, text: row.innerHTML }));

/** What stands still under a pointer is brought up to date; what would move waits, and is counted. */
function keepStill(fresh) {
  const { inPlace, added, gone, moves } = differences(seenOf(rows()), seenOf(fresh));
  for (const id of inPlace) {
    const [old, now] = [rows(), fresh].map((some) => some.find((row) => row.dataset.id === id));
    const chosen = old.querySelector(".pick input").checked;
    const part = old.contains(document.activeElement) && (document.activeElement.matches(".pick input") ? ".pick input" : ".name a, .name button");
    old.className = now.className;
    old.innerHTML = now.innerHTML;
    old.querySelector(".pick input").checked = chosen;
    if (part) old.querySelector(part)?.focus({ preventScroll: true });
  }
  const waits = added || gone || moves;
  byId("news").hidden = !waits;
  if (waits) byId("news-said").textContent = added ? t("New readings: {n}. They wait until the pointer leaves the list.", { n: added }) : t("The order has changed; it waits until the pointer leaves the list.");
}

function putLatest() {
  if (!latest) return;
  const { fresh, next } = latest;
  latest = null;
  byId("news").hidden = true;
  put(fresh);
  goOnAt(next);
}

function put(fresh) {
  const before = new Map(rows().map((row) => [row.dataset.id, row]));
  const focused = document.activeElement?.closest?.("#rows tr");
  const part = document.activeElement?.matches(".pick input") ? ".pick input" : ".name a, .name button";
  const [place, chosen] = [here(), new Set(picked().map((row) => row.dataset.id))];
  const anchor = focused ?? rows().find((row) => row.getBoundingClientRect().bottom > 0);
  const height = anchor?.getBoundingClientRect().top;
  const after = fresh.map((row) => {
    const same = before.get(row.dataset.id);
    return same?.innerHTML === row.innerHTML ? same : document.importNode(row, true);
  });
  body.replaceChildren(...after);
  for (const row of after) {
    row.querySelector(".pick input").checked = chosen.has(row.dataset.id);
    row.classList.remove("focused");
  }
  const again = (row) => after.find(({ dataset }) => dataset.id === row?.dataset.id);
  at = place < 0 ? -1 : Math.max(0, again(focused) ? after.indexOf(again(focused)) : Math.min(place, after.length - 1));
  if (at >= 0) after[at].classList.add("focused");
  if (focused) after[at].querySelector(part)?.focus({ preventScroll: true });
  if (again(anchor)) scrollBy(0, again(anchor).getBoundingClientRect().top - height);
  showSelection();
}

if (body) {
  body.addEventListener("pointerenter", ({ pointerType }) => (over = pointerType === "mouse"));
  body.addEventListener("pointerleave", () => {
    over = false;
    putLatest();
  });
  body.addEventListener("pointerdown", ({ pointerType }) => {
    if (pointerType !== "touch") return;
    touched = Date.now();
    setTimeout(() => !pointing() && putLatest(), TOUCHED + 50);
  });
  byId("news-show").addEventListener("click", putLatest);
}

onChange(lookSoon);
const { changes, position } = byId("filter").dataset;
let failed = false;
if (changes) {
  watch(changes, position, {
    ask: async (address) => JSON.parse(await textOf(address)),
    onChange: lookSoon,
    onTrouble(now) {
      if (now !== failed) toast(now ? t("The server does not answer: this list is not kept up to date until it does.") : t("The list is kept up to date again."));
      failed = now;
    },
  });
}
document.addEventListener("visibilitychange", () => !document.hidden && (outdated || Date.now() - seen > REST) && lookSoon());
addEventListener("pageshow", ({ persisted }) => persisted && lookSoon()); // back out of the browser's memory

function showSelection() {
  const n = picked().length;
  byId("selection").hidden = !n;
  byId("selected").textContent = t("{n} selected", { n });
  const ids = picked().map((row) => row.dataset.id);
  byId("beside").hidden = ids.length < 2 || ids.length > 4;
  byId("beside").href = `/readings/${ids[0]}?beside=${ids.slice(1).join(",")}`;
}

async function remove(some) {
  if (!some.length) return;
  const before = here();
  try {
    for (const row of some) await ask(`/api/v1/readings/${row.dataset.id}`, { method: "DELETE" });
  } catch (error) {
    return toast(error.message);
  }
  for (const row of some) {
    row.hidden = true;
    row.querySelector(".pick input").checked = false;
  }
  showSelection();
  count(-some.length);
  undo = () => restore(some);
  toast(some.length === 1 ? t("{name} removed", { name: nameOf(some[0]) }) : t("{n} removed", { n: some.length }), undo);
  focus(before);
}

async function restore(some) {
  undo = null;
  try {
    for (const row of some) await ask(`/api/v1/readings/${row.dataset.id}/restore`, { method: "POST" });
  } catch (error) {
    return toast(error.message);
  }
  for (const row of some) row.hidden = false;
  if (some.every((row) => row.isConnected)) {
    count(some.length);
    some[0].querySelector(".name a")?.focus();
  } else lookSoon(); // the list was brought up to date meanwhile
  byId("toast").hidden = true;
  announce(t("Brought back"));
}

/** The number above the list, after rows left it or came back. */
function count(by) {
  const shown = byId("count");
  shown.dataset.n = Number(shown.dataset.n) + by;
  shown.textContent = t("{n} readings", { n: Number(shown.dataset.n).toLocaleString(document.documentElement.lang) });
}

if (body) {
  body.addEventListener("change", (event) => event.target.closest(".pick") && showSelection());
  body.addEventListener("click", async (event) => {
    const row = event.target.closest("button.restore")?.closest("tr");
    if (!row) return;
    try {
      await ask(`/api/v1/readings/${row.dataset.id}/restore`, { method: "POST" });
      row.hidden = true;
      count(-1);
      toast(t("{name} is back in the worklist", { name: nameOf(row) }));
    } catch (error) {
      toast(error.message);
    }
  });
  byId("remove").addEventListener("click", () => remove(picked()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#more")) return;
    event.preventDefault();
    more();
  });
  if (byId("more")) nearEnd.observe(byId("more"));
}

for (const field of byId("filter").querySelectorAll("select, input[type=date]")) field.addEventListener("change", () => byId("filter").requestSubmit());

function search() {
  document.querySelector("#filter .fold").open = true; // where the screen is narrow
  byId("search").focus();
}

bindPage([
  [["j", "k"], t("Next or previous reading"), (key) => focus(here() < 0 ? 0 : here() + (key === "j" ? 1 : -1))],
  [["o"], t("Open the reading (or Enter)"), () => rows()[here()]?.querySelector(".name a")?.click()],
  [["x"], t("Select or deselect the reading"), () => rows()[here()]?.querySelector(".pick input").click()],
  [["d"], t("Remove the selected readings, else the one in focus"), () => remove(picked().length ? picked() : rows().slice(here(), here() + 1).filter(() => here() >= 0))],
  [["u"], t("Undo"), () => undo?.()],
  [["/"], t("Search by name"), () => search()],
  [["r"], t("Upload images"), () => document.querySelector('a[href="/uploads"]')?.click()],
]);
