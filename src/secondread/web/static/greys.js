// The window of one image: level and width, in percent of what the file first shows and in the file's own values.

import { Depth } from "./depth.js";
import { plain } from "./windows.js";
import { t } from "./page.js";

const EIGHT_BITS = { centre: 127.5, width: 255 }; // of a plain picture, from black to white
let made = 0; // filters on this page

export class Greys {
  #drawing = null;
  #deepening = null;

  /** element: the stage's; say(sentence): where something is wrong; onDepth(): all values are there now. */
  constructor(element, { say, onDepth }) {
    Object.assign(this, { element, say, onDepth, level: 50, width: 100, inverted: false, depth: null, own: [], unit: "" });
    this.image = element.querySelector("img");
    this.filter = filterOfItsOwn();
  }

  /** How far level and width may go, in percent. */
  get limits() {
    return this.depth ? this.depth.limits : { level: [0, 100], width: [2, 200] };
  }

  /** level and width in percent of the full range; inverted: dark means bright. */
  set(level, width, inverted) {
    Object.assign(this, { level, width, inverted });
    const slope = (inverted ? -1 : 1) * (100 / width);
    const intercept = 0.5 - (slope * level) / 100;
    for (const part of this.filter.querySelectorAll("feComponentTransfer > *")) {
      part.setAttribute("slope", slope);
      part.setAttribute("intercept", intercept);
    }
    const unchanged = level === 50 && width === 100 && !inverted;
    this.image.style.filter = unchanged ? "" : `url(#${this.filter.id})`;
    if (!unchanged) this.deepen();
    if (this.depth) this.#drawing ??= requestAnimationFrame(() => this.#draw());
  }

  /** Fetches all values of a file of more than 8 bits, once; until they are there the 8 bits have to do. */
  deepen() {
    const address = this.element.dataset.depth;
    this.#deepening ??= address ? this.#fetch(address) : Promise.resolve();
    return this.#deepening;
  }

  async #fetch(address) {
    try {
      const depth = await Depth.load(address);
      if (address !== this.element.dataset.depth) return; // of a frame that was left meanwhile
      this.depth = depth;
      this.onDepth();
    } catch (error) {
      this.say(error.message);
    }
  }

  /** Another frame takes the image's place. */
  forget() {
    Object.assign(this, { depth: null });
    this.#deepening = null;
    this.element.querySelector(".depth-layer").hidden = true;
  }

  /** What level 50 and width 100 stand for: { centre, width } as the file counts; null until that is known. */
  get base() {
    if (this.depth) return { centre: this.depth.centre, width: this.depth.width };
    return this.element.dataset.depth ? (this.own[0] ?? null) : EIGHT_BITS;
  }

  /** The window as the file counts: { centre, width, unit }; null where that is not known yet. */
  get values() {
    const { base } = this;
    return base && { centre: base.centre + ((this.level - 50) / 100) * base.width, width: (this.width / 100) * base.width, unit: this.depth?.unit ?? this.unit };
  }

  /** Lowest and highest value that can be looked at, once they are known. */
  get range() {
    return this.depth ? [Math.min(this.depth.black, this.depth.white), Math.max(this.depth.black, this.depth.white)] : [0, 255];
  }

  /** Percent of what is first shown: [level, width] of a window as the file counts. */
  async percentOf(centre, width) {
    await this.deepen();
    const { base } = this;
    return base && [50 + (100 * (centre - base.centre)) / base.width, (100 * width) / base.width];
  }

  get inWords() {
    if (!this.depth) return "";
    const { centre, width, unit } = this.values;
    return t("centre {centre}, width {width} {unit}", { centre: plain(centre, this.depth.width), width: plain(width, this.depth.width), unit }).trim();
  }

  #draw() {
    this.#drawing = null;
    if (!this.depth) return;
    const canvas = this.element.querySelector(".depth-layer");
    this.depth.draw(canvas, this.level, this.width, this.inverted);
    canvas.hidden = false;
  }
}

/** The page's filter for the first stage, a copy of it for each other one. */
function filterOfItsOwn() {
  const first = document.getElementById("window-level");
  made += 1;
  if (made === 1) return first;
  const copy = first.cloneNode(true);
  copy.id = `window-level-${made}`;
  first.after(copy);
  return copy;
}
