// Stepping through the frames of a file, on a card and on a reading's own page: slider, buttons, curve, wheel, keys.

import { t } from "./page.js";
import { fetchAhead, pictureAt, slicesOf } from "./slices.js";

const PREVIEW = 1024; // longest side on a card, pixels
const walks = new WeakMap(); // one for each file on the page

const step = (by) => (key, { target }) => {
  const walk = inFocus(target);
  walk?.go(walk.at + by);
  return Boolean(walk);
};

/** Rows of keys (see keys.js) of a page with frames. */
export const stepKeys = [
  [["ArrowLeft", "ArrowRight"], t("Frame before or next, where the file has several"), (key, event) => step(key === "ArrowLeft" ? -1 : 1)(key, event)],
  [["p"], t("To the most suspicious frame"), () => toWorst()],
];

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
const by = (key, event) => step(STEPS[key])(key, event);

/** The same for a volume whose image has the focus. */
export const stackKeys = [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], t("One slice back or on"), by],
  [["PageUp", "PageDown"], t("Ten slices back or on"), by],
  [["Home", "End"], t("To the first or the last slice"), by],
];
const [AHEAD, BEHIND] = [8, 3]; // frames that are fetched beforehand, in the direction that is gone in

class Walk {
  #busy = false;

  constructor(root) {
    this.root = root;
    this.slider = root.querySelector("input");
    this.says = JSON.parse(root.dataset.says);
    this.mapped = JSON.parse(root.dataset.mapped);
    this.answers = Number(root.dataset.answers);
    this.at = this.answers;
    this.way = 1;
    this.preview = root.closest(".card") ? `&longest_side=${PREVIEW}` : "";
    this.places = JSON.parse(root.dataset.places ?? "null"); // of slices, in mm along their normal
    this.show = root.closest(".card") ? onCard(root.closest(".card"), this) : () => tell(root, this.addresses);
  }

  /** Where the picture of a frame is. */
  imageOf(frame) {
    return `${this.root.dataset.images}?frame=${frame}${this.preview}`;
  }

  /** Fetches the frames that are likely next, into the page's memory. */
  ahead() {
    const frames = [...Array(AHEAD).keys()].map((step) => this.at + this.way * (step + 1));
    frames.push(...[...Array(BEHIND).keys()].map((step) => this.at - this.way * (step + 1)));
    fetchAhead(frames.filter((frame) => frame >= 1 && frame <= this.says.length).map((frame) => this.imageOf(frame)));
  }

  /** Where the pictures of the frame at hand are; empty where it has none of that kind. */
  get addresses() {
    const { maps, regions, depth } = this.root.dataset;
    const of = (address) => `${address}?frame=${this.at}`;
    const map = this.mapped[this.at - 1];
    return { frame: this.at, image: this.imageOf(this.at), depth: of(depth), heat: map ? of(maps) : "", regions: map ? of(regions) : "" };
  }

  go(frame) {
    const wanted = Math.min(this.says.length, Math.max(1, frame));
    if (wanted === this.at) return;
    this.way = Math.sign(wanted - this.at);
    this.before = this.at;
    this.at = wanted;
    this.slider.value = wanted;
    this.slider.setAttribute("aria-valuetext", this.says[wanted - 1]);
    this.root.querySelector(".frames-said").textContent = this.says[wanted - 1];
    const x = (1000 * (wanted - 1)) / (this.says.length - 1);
    this.root.querySelector(".frame-curve .at")?.setAttribute("d", `M${x.toFixed(1)} 0V100`);
    this.root.querySelector(".frames-back")?.toggleAttribute("disabled", wanted === this.answers);
    this.#follow();
    this.root.dispatchEvent(new CustomEvent("going", { bubbles: true, detail: this }));
  }

  /** Shows the frame at hand; one request at a time, however fast the slider moves. */
  async #follow() {
    if (this.#busy) return;
    this.#busy = true;
    const trouble = this.root.querySelector(".frames-trouble");
    for (let shown = 0; shown !== this.at; ) {
      shown = this.at;
      try {
        await this.show();
        trouble.hidden = true;
        this.root.dispatchEvent(new CustomEvent("stepped", { bubbles: true, detail: { at: shown, answers: this.answers } }));
      } catch {
        trouble.textContent = t("This frame could not be loaded. Try again.");
        trouble.hidden = false;
      }
    }
    this.#busy = false;
    this.ahead();
  }
}

/** Puts frames into a card's picture, and their heat maps over it where it is on; that of the answer is there already. */
function onCard(card, walk) {
  const [base, heat] = [card.querySelector("img.base"), card.querySelector("img.heat")];
  const first = { base: base?.src, heat: heat?.src };
  if (heat) new MutationObserver(() => drawHeat()).observe(heat, { attributes: true, attributeFilter: ["hidden"] });
  let drawn = walk.answers; // the frame whose map is over the picture

  async function drawHeat() {
    if (!heat || drawn === walk.at) return;
    heat.style.visibility = "hidden";
    if (heat.hidden) return;
    const { at } = walk;
    const address = walk.addresses.heat && `${walk.addresses.heat}&colours=inferno`;
    if (at !== walk.answers && !address) return;
    heat.src = at === walk.answers ? first.heat : await pictureAt(address);
    if (at !== walk.at) return;
    drawn = at;
    heat.style.visibility = "";
  }

  return async () => {
    if (!base) return;
    if (drawn !== walk.at && heat) heat.style.visibility = "hidden";
    const { at } = walk;
    base.src = at === walk.answers ? first.base : await pictureAt(walk.addresses.image);
    if (heat && drawn === walk.at) heat.style.visibility = "";
    await drawHeat();
  };
}

/** The page around it shows the frame: see room.js. Resolves once it does. */
async function tell(root, addresses) {
  const image = await pictureAt(addresses.image);
  return new Promise((resolve, reject) => {
    root.dispatchEvent(new CustomEvent("frame", { bubbles: true, detail: { ...addresses, image, resolve, reject } }));
  });
}

function walkOf(element) {
  const root = element?.closest?.(".frames");
  if (!root) return null;
  if (!walks.has(root)) walks.set(root, new Walk(root));
  return walks.get(root);
}

/** The file that the keyboard steps through: that of the card in focus, or the one of the page. */
function inFocus(target) {
  const card = target.closest?.(".card");
  if (card) return walkOf(card.querySelector(".frames"));
  const here = target.closest?.(".view")?.querySelector(".frames") ?? document.querySelector(".frames");
  return document.querySelector(".card") || document.querySelector("dialog[open]") ? null : walkOf(here);
}

function toWorst() {
  const walk = inFocus(document.activeElement ?? document.body);
  walk?.go(walk.answers);
}

/** The frame that lies under a place of the curve. */
function alongCurve(plot, walk, clientX) {
  const { left, width } = plot.firstElementChild.getBoundingClientRect();
  walk.go(1 + Math.round(((clientX - left) / width) * (walk.says.length - 1)));
}

document.addEventListener("input", ({ target }) => {
  if (target.matches(".frame-slider")) walkOf(target).go(Number(target.value));
});

document.addEventListener("click", (event) => {
  const wanted = event.target.closest?.(".frame-steps [data-step]")?.dataset.step;
  const plot = event.target.closest?.(".frame-plot");
  const walk = walkOf(event.target);
  if (wanted) walk.go(wanted === "back" ? walk.answers : walk.at + Number(wanted));
  if (plot) alongCurve(plot, walk, event.clientX);
});

document.addEventListener("pointermove", (event) => {
  const plot = event.buttons === 1 && event.target.closest?.(".frame-plot");
  if (plot) alongCurve(plot, walkOf(plot), event.clientX);
});

// A volume is gone through with the wheel, as in every viewer of a hospital; Ctrl and the wheel zoom (see stage.js).
document.addEventListener("turn", ({ target, detail }) => {
  const walk = walkOf(target.closest(".view").querySelector(".frames"));
  walk?.go(walk.at + (detail.steps ?? slicesOf(detail)));
});

/** The walks of these elements, each a `.frames`. */
export const walksOf = (elements) => [...elements].map(walkOf);

/** Fetches the slices of a volume that are likely next once all else is there. */
export function fetchSoon(element) {
  if (!element?.matches("[data-stack]")) return;
  if (document.readyState === "complete") walkOf(element).ahead();
  else addEventListener("load", () => walkOf(element).ahead());
}

fetchSoon(document.querySelector(".light-box .frames"));
