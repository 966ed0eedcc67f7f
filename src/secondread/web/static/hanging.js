// Several images beside one another: how many, which, and whether they go together. The page's own is always the first.

import { fetchSoon } from "./frames.js";
import { ask, byId, drawn, el, t, toast } from "./page.js";
import { fetched } from "./session.js";
import { addStage, link, removeStage } from "./viewer.js";

const PANES = { "1x1": 1, "1x2": 2, "2x2": 4 };
const ORDER = Object.keys(PANES);
const views = document.querySelector(".views[data-layout]");
const switches = [...document.querySelectorAll("[data-layout-to]")];
let { layout = "1x1" } = views?.dataset ?? {};
let linked = views?.dataset.linked !== "0";

const others = views ? JSON.parse(views.dataset.others) : []; // { id, said }: views of the study, then earlier ones
const wanted = views ? JSON.parse(views.dataset.beside) : []; // ids asked for in the address
const panes = () => [...views.querySelectorAll(".view.beside")];

/** Rows of keys (see keys.js). */
export const hangingKeys = views
  ? [
      [["o"], t("One image, two beside each other, or four"), () => hang(ORDER[(ORDER.indexOf(layout) + 1) % ORDER.length], true)],
      [["y"], t("Link the images, or move each by itself"), () => setLinked(!linked, true)],
    ]
  : [];

/** Shows so many images. keep: for the next time. */
function hang(to, keep = false) {
  layout = to;
  views.dataset.layout = layout;
  views.closest(".room").classList.toggle("hung", layout !== "1x1");
  for (const button of switches) button.setAttribute("aria-pressed", button.dataset.layoutTo === layout);
  byId("link").hidden = layout === "1x1";
  for (const pane of panes().slice(PANES[layout] - 1)) take(pane);
  while (panes().length < PANES[layout] - 1) add();
  if (keep) save();
}

function setLinked(on, keep = false) {
  linked = on;
  byId("link").setAttribute("aria-pressed", linked);
  link(linked);
  if (keep) save();
}

async function save() {
  try {
    await ask("/hanging", { method: "PUT", body: JSON.stringify({ layout, linked }), headers: { "Content-Type": "application/json" } });
  } catch (error) {
    toast(error.message);
  }
}

function take(pane) {
  const stage = pane.querySelector(".stage");
  if (stage) removeStage(stage);
  pane.remove();
}

/** A place for one more image, with what can be hung there. */
function add() {
  const hung = new Set([views.dataset.reading, ...panes().map(({ dataset }) => dataset.reading)]);
  const first = [...wanted, ...others.map(({ id }) => id)].map(String).find((id) => !hung.has(id)) ?? "";
  const select = el("select", { "aria-label": t("Image beside it"), onchange: () => fill(pane, select.value) }, el("option", { value: "" }, t("Choose an image")));
  select.append(...others.map(({ id, said }) => el("option", { value: id }, said)));
  const number = el("input", { type: "text", inputmode: "numeric", size: "6", maxlength: "10" });
  const asked = el("label", {}, t("Number of another reading"), " ", number);
  const form = el("form", { class: "hang", onsubmit: (event) => event.preventDefault() || (number.value.trim() && fill(pane, number.value.trim())) }, select, asked, el("button", {}, t("Show")));
  select.hidden = !others.length;
  const pane = el("section", { class: "view beside", "aria-label": t("Image {n}", { n: panes().length + 2 }), "data-reading": "" }, form, el("div", { class: "hung-image" }));
  views.append(pane);
  if (first) fill(pane, first);
}

/** Hangs a reading's image there. */
async function fill(pane, id) {
  const place = pane.querySelector(".hung-image");
  const select = pane.querySelector("select");
  pane.dataset.reading = id;
  select.value = [...select.options].some(({ value }) => value === id) ? id : "";
  const old = place.querySelector(".stage");
  if (old) removeStage(old);
  place.replaceChildren(el("p", { class: "quiet empty" }, id ? t("Loading …") : ""));
  if (!id) return;
  try {
    if (!/^\d{1,9}$/.test(id)) throw new Error(t("Give the number of a reading, as its address has it."));
    const response = await fetched(`/readings/${id}/pane${views.dataset.blind}`, { headers: { Accept: "text/html" } });
    if (response.status === 404) throw new Error(t("There is no reading {id}.", { id }));
    if (!response.ok) throw new Error(t("The server answered {status}. Try again.", { status: response.status }));
    const html = await response.text();
    if (pane.dataset.reading !== id || !pane.isConnected) return; // another was chosen meanwhile
    place.replaceChildren(drawn(html));
    const stage = place.querySelector(".stage");
    if (stage) addStage(stage);
    fetchSoon(place.querySelector(".frames"));
  } catch (error) {
    place.replaceChildren(el("p", { class: "empty", role: "alert" }, error.message));
  }
}

if (views) {
  for (const button of switches) button.addEventListener("click", () => hang(button.dataset.layoutTo, true));
  byId("link").addEventListener("click", () => setLinked(!linked, true));
  setLinked(linked);
  hang(wanted.length ? (wanted.length > 1 ? "2x2" : "1x2") : layout);
}
