// The worklist: through it by keyboard, more rows as they are needed, removing with undo.

import { announce, ask, bindPage, byId, drawn, t, toast } from "./page.js";

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
  try {
    const response = await fetch(`${link.href}&part=rows`, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(t("The server answered {status}. Try again.", { status: response.status }));
    const fresh = drawn(`<table><tbody>${await response.text()}</tbody></table>`);
    const next = fresh.querySelector("tr.next a");
    const known = new Set(rows().map((row) => row.dataset.id));
    body.append(...[...fresh.querySelectorAll("tr[data-id]")].filter((row) => !known.has(row.dataset.id)));
    if (next) link.href = next.getAttribute("href");
    else link.parentElement.remove();
  } catch (error) {
    toast(error.message);
  } finally {
    loading = false;
  }
}

function showSelection() {
  const n = picked().length;
  byId("selection").hidden = !n;
  byId("selected").textContent = t("{n} selected", { n });
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
  count(some.length);
  byId("toast").hidden = true;
  announce(t("Brought back"));
  some[0].querySelector(".name a")?.focus();
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
  byId("more")?.addEventListener("click", (event) => {
    event.preventDefault();
    more();
  });
  if (byId("more")) new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "600px" }).observe(byId("more"));
}

for (const field of byId("filter").querySelectorAll("select, input[type=date]")) field.addEventListener("change", () => byId("filter").requestSubmit());

bindPage([
  [["j", "k"], t("Next or previous reading"), (key) => focus(here() < 0 ? 0 : here() + (key === "j" ? 1 : -1))],
  [["o"], t("Open the reading (or Enter)"), () => rows()[here()]?.querySelector(".name a")?.click()],
  [["x"], t("Select or deselect the reading"), () => rows()[here()]?.querySelector(".pick input").click()],
  [["d"], t("Remove the selected readings, else the one in focus"), () => remove(picked().length ? picked() : rows().slice(here(), here() + 1).filter(() => here() >= 0))],
  [["u"], t("Undo"), () => undo?.()],
  [["/"], t("Search by name"), () => byId("search").focus()],
  [["r"], t("Upload images"), () => document.querySelector('a[href="/uploads"]')?.click()],
]);
