// Stepping through the frames of a file, on a card and on a reading's own page: slider, buttons, curve, arrow keys.

import { t } from "./page.js";

const PREVIEW = 1024; // longest side on a card, pixels
const walks = new WeakMap(); // one for each file on the page

/** For the list of keys; the arrows are listened to below. */
export const stepKeys = [[["←", "→"], t("Frame before or next, where the file has several"), () => false]];

class Walk {
  #busy = false;

  constructor(root) {
    this.root = root;
    this.slider = root.querySelector("input");
    this.says = JSON.parse(root.dataset.says);
    this.mapped = JSON.parse(root.dataset.mapped);
    this.answers = Number(root.dataset.answers);
    this.at = this.answers;
    this.show = root.closest(".card") ? onCard(root.closest(".card"), this) : () => tell(root, this.addresses);
  }

  /** Where the pictures of the frame at hand are; empty where it has none of that kind. */
  get addresses() {
    const { images, maps, regions, depth } = this.root.dataset;
    const of = (address) => `${address}?frame=${this.at}`;
    const map = this.mapped[this.at - 1];
    return { image: of(images), depth: of(depth), heat: map ? of(maps) : "", regions: map ? of(regions) : "" };
  }

  go(frame) {
    const wanted = Math.min(this.says.length, Math.max(1, frame));
    if (wanted === this.at) return;
    this.at = wanted;
    this.slider.value = wanted;
    this.slider.setAttribute("aria-valuetext", this.says[wanted - 1]);
    this.root.querySelector(".frames-said").textContent = this.says[wanted - 1];
    const x = (1000 * (wanted - 1)) / (this.says.length - 1);
    this.root.querySelector(".frame-curve .at")?.setAttribute("d", `M${x.toFixed(1)} 0V100`);
    this.root.querySelector(".frames-back")?.toggleAttribute("disabled", wanted === this.answers);
    this.#follow();
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
      } catch {
        trouble.textContent = t("This frame could not be loaded. Try again.");
        trouble.hidden = false;
      }
    }
    this.#busy = false;
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
    if (at === walk.answers) put(heat, first.heat, first.heat);
    else if (walk.addresses.heat) put(heat, await fetched(`${walk.addresses.heat}&colours=inferno`), first.heat);
    else return;
    if (at !== walk.at) return;
    drawn = at;
    heat.style.visibility = "";
  }

  return async () => {
    if (!base) return;
    if (drawn !== walk.at && heat) heat.style.visibility = "hidden";
    const { at } = walk;
    put(base, at === walk.answers ? first.base : await fetched(`${walk.addresses.image}&longest_side=${PREVIEW}`), first.base);
    if (heat && drawn === walk.at) heat.style.visibility = "";
    await drawHeat();
  };
}

/** An address of this picture in the page's own memory. */
async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${response.status}`);
  return URL.createObjectURL(await response.blob());
}

function put(image, address, kept) {
  const before = image.src;
  image.src = address;
  if (before !== kept && before !== address) URL.revokeObjectURL(before);
}

/** The page around it shows the frame: see room.js. Resolves once it does. */
function tell(root, addresses) {
  return new Promise((resolve, reject) => {
    root.dispatchEvent(new CustomEvent("frame", { bubbles: true, detail: { ...addresses, resolve, reject } }));
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
  return document.querySelector(".card") || document.querySelector("dialog[open]") ? null : walkOf(document.querySelector(".frames"));
}

document.addEventListener("input", ({ target }) => {
  if (target.matches(".frame-slider")) walkOf(target).go(Number(target.value));
});

document.addEventListener("click", (event) => {
  const step = event.target.closest?.(".frame-steps [data-step]")?.dataset.step;
  const plot = event.target.closest?.(".frame-plot");
  const walk = walkOf(event.target);
  if (step) walk.go(step === "back" ? walk.answers : walk.at + Number(step));
  if (!plot) return;
  const { left, width } = plot.firstElementChild.getBoundingClientRect();
  walk.go(1 + Math.round(((event.clientX - left) / width) * (walk.says.length - 1)));
});

document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea, [contenteditable]")) return; // the slider steps by itself
  const walk = inFocus(event.target);
  if (!walk) return;
  event.preventDefault();
  walk.go(walk.at + by);
});
