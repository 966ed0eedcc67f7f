// One image on a stage: zoom, pan, window and level, and the heat map over it. Every drag has buttons or keys beside it.

import { Depth } from "./depth.js";
import { ask, svg, t } from "./page.js";

// Perceptually uniform colour maps (matplotlib's, CC0): equal steps of the map look equal. 17 colours each, blended between.
const MAPS = {
  inferno: "0000040b0724210c4a3d096557106e71196e8a226aa32c61bc3754d24644e45a31f1731df98e09fcac11f9cb35f2ea69fcffa4",
  viridis: "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis: "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  magma: "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf",
};
const NEAREST = 0.02; // smallest and largest scale
const FARTHEST = 40;
const SWIPE = 9; // pixels of a finger's way for a slice

export class Stage {
  /** onMove({ scale, x, y }) and onWindow(level, width) tell what the user did, so that others may follow. */
  constructor(element, { onMove = () => {}, onWindow = () => {}, onDepth = () => {} } = {}) {
    this.element = element;
    this.film = element.querySelector(".film");
    this.image = element.querySelector("img");
    this.canvas = element.querySelector(".heat-layer");
    this.limits = { level: [0, 100], width: [2, 200] };
    Object.assign(this, { onMove, onWindow, onDepth, windowing: false, level: 50, width: 100, fitted: true, view: { scale: 1, x: 0, y: 0 } });
    this.size = { width: Number(element.dataset.width), height: Number(element.dataset.height) };
    this.stack = Boolean(element.closest(".light-box")?.querySelector(".frames[data-stack]"));
    this.#size();
    this.ready = Promise.all([this.#load(), this.#loadHeat()]);
    new ResizeObserver(() => (this.fitted ? this.fit() : this.#show())).observe(element);
    this.#listen();
  }

  async #load() {
    this.image.src = this.element.dataset.image;
    try {
      await this.image.decode();
    } catch {
      this.#say(t("The image could not be loaded. Load the page again."));
    }
  }

  /** Shows another frame of the same file. addresses: { image, heat, regions, depth }, empty where it has none. */
  async replace({ image, heat, regions, depth }) {
    const { dataset } = this.element;
    dataset.image = image;
    if (dataset.heat !== undefined) dataset.heat = heat;
    if (dataset.regions !== undefined) dataset.regions = regions;
    if (dataset.depth) dataset.depth = depth;
    Object.assign(this, { strength: null, regions: null, depth: null, deepening: false, heatIsLate: true });
    this.canvas.hidden = true;
    this.element.querySelector(".outlines").replaceChildren();
    this.element.querySelector(".depth-layer").hidden = true;
    this.#say("", true);
    this.ready = this.#load();
    await this.ready;
  }

  async #loadHeat() {
    if (!this.element.dataset.heat) return;
    const source = new Image();
    source.src = this.element.dataset.heat;
    try {
      await source.decode();
    } catch {
      return; // the image is worth showing without it
    }
    Object.assign(this.canvas, { width: source.naturalWidth, height: source.naturalHeight });
    const drawn = this.canvas.getContext("2d", { willReadFrequently: true });
    drawn.drawImage(source, 0, 0);
    const { data } = drawn.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.strength = Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
  }

  /** Shows the heat map in these colours, opaque where it is strong. */
  async paint({ on, opacity, colours }) {
    await this.ready;
    if (on && this.heatIsLate) { // of a frame that was stepped to, made only where it is shown
      this.heatIsLate = false;
      await this.#loadHeat();
    }
    if (!this.strength) return;
    const table = tableOf(colours);
    const drawn = this.canvas.getContext("2d");
    const pixels = drawn.createImageData(this.canvas.width, this.canvas.height);
    this.strength.forEach((level, at) => {
      for (let part = 0; part < 3; part += 1) pixels.data[4 * at + part] = table[3 * level + part];
      pixels.data[4 * at + 3] = level;
    });
    drawn.putImageData(pixels, 0, 0);
    this.canvas.style.opacity = opacity / 100;
    this.canvas.hidden = !on;
    this.#say(on && !this.strength.some((level) => level > 0) ? t("The heat map is empty: no part of the image spoke for disease.") : "", true);
  }

  /** Shows the outlines of what the network marks; says where there are none. */
  async outline(on) {
    const lines = this.element.querySelector(".outlines");
    const address = this.element.dataset.regions;
    if (!address) return;
    if (on && !this.regions) {
      try {
        this.regions = await ask(address);
      } catch (error) {
        this.#say(error.message);
        return;
      }
      lines.replaceChildren(...this.regions.regions.flatMap((region, at) => drawn(region, at + 1, this.size)));
    }
    lines.toggleAttribute("hidden", !on);
    if (!this.regions?.given) return;
    this.#say(on && this.regions.regions.length === 0 ? t("No outline: no part of the image spoke for disease.") : "", true);
  }

  /** level and width in percent of the full range; inverted: dark means bright. */
  setWindow(level, width, inverted) {
    Object.assign(this, { level, width });
    const slope = (inverted ? -1 : 1) * (100 / width);
    const intercept = 0.5 - (slope * level) / 100;
    for (const part of document.querySelectorAll("#window-level feComponentTransfer > *")) {
      part.setAttribute("slope", slope);
      part.setAttribute("intercept", intercept);
    }
    const plain = level === 50 && width === 100 && !inverted;
    this.image.style.filter = plain ? "" : "url(#window-level)";
    this.inverted = inverted;
    if (!plain) this.deepen();
    if (this.depth) this.drawing ??= requestAnimationFrame(() => this.#drawDepth());
  }

  /** Fetches all values of a file of more than 8 bits, once; until they are there the 8 bits have to do. */
  async deepen() {
    const address = this.element.dataset.depth;
    if (!address || this.deepening) return;
    this.deepening = true;
    try {
      const depth = await Depth.load(address);
      if (address !== this.element.dataset.depth) return; // of a frame that was left meanwhile
      this.depth = depth;
    } catch (error) {
      this.#say(error.message);
      return;
    }
    this.limits = this.depth.limits;
    this.onDepth(this);
  }

  /** The window as the file counts, in words; empty where only the 8 bits are there. */
  get windowInWords() {
    if (!this.depth) return "";
    const { centre, width } = this.depth.windowOf(this.level, this.width);
    const plain = (value) => (this.depth.width < 10 ? value.toPrecision(3) : `${Math.round(value)}`);
    return t("centre {centre}, width {width} {unit}", { centre: plain(centre), width: plain(width), unit: this.depth.unit }).trim();
  }

  #drawDepth() {
    this.drawing = null;
    if (!this.depth) return;
    const canvas = this.element.querySelector(".depth-layer");
    this.depth.draw(canvas, this.level, this.width, this.inverted);
    canvas.hidden = false;
  }

  fit() {
    const { clientWidth, clientHeight } = this.element;
    const scale = Math.min(clientWidth / this.size.width, clientHeight / this.size.height);
    this.fitted = true;
    this.place({ scale, x: (clientWidth - scale * this.size.width) / 2, y: (clientHeight - scale * this.size.height) / 2 });
  }

  /** Zooms by a factor around a point of the stage, its middle where none is given. */
  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const scale = Math.min(FARTHEST, Math.max(NEAREST, this.view.scale * factor));
    const ratio = scale / this.view.scale;
    this.fitted = false;
    this.place({ scale, x: x - ratio * (x - this.view.x), y: y - ratio * (y - this.view.y) });
    this.onMove(this.view);
  }

  pan(x, y) {
    this.fitted = false;
    this.place({ ...this.view, x: this.view.x + x, y: this.view.y + y });
    this.onMove(this.view);
  }

  /** The view as another stage has it; some of the image always stays on the stage. */
  place({ scale, x, y }) {
    const keep = 40; // pixels
    const [wide, high] = [scale * this.size.width, scale * this.size.height];
    const clamp = (at, least, most) => Math.min(most, Math.max(least, at));
    this.view = { scale, x: clamp(x, keep - wide, this.element.clientWidth - keep), y: clamp(y, keep - high, this.element.clientHeight - keep) };
    this.#show();
  }

  /** note: nothing is wrong, it is good to know. */
  #say(sentence, note = false) {
    const place = this.element.querySelector(".stage-trouble");
    if (place.textContent && note && !place.classList.contains("note")) return; // a failure stays
    place.textContent = sentence;
    place.classList.toggle("note", note);
    place.hidden = !sentence;
  }

  #size() {
    this.film.style.width = `${this.size.width}px`;
    this.film.style.height = `${this.size.height}px`;
  }

  #show() {
    const { scale, x, y } = this.view;
    this.film.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.film.style.setProperty("--zoom", scale); // outlines stay thin however near one looks
    this.film.classList.toggle("sharp", !this.fitted && scale >= 3);
  }

  #listen() {
    const { element } = this;
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (this.stack && !event.ctrlKey && !event.metaKey) return this.#turn(event);
      const box = element.getBoundingClientRect();
      this.zoom(1.0015 ** -event.deltaY, event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    const fingers = new Map();
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    element.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY];
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      fingers.set(event.pointerId, now);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (other) this.#pinch(before, now, other);
      else if (this.stack && this.fitted && event.pointerType === "touch") this.#swipe(dy);
      else if (this.windowing || event.buttons === 2) this.#drag(dx, dy);
      else this.pan(dx, dy);
    });
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (event) => fingers.delete(event.pointerId));
    element.addEventListener("contextmenu", (event) => event.preventDefault()); // the right button drags the window
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.fitted && (this.stack || (step[0] && document.querySelector(".frames")))) return; // the whole image is there: they step
      event.preventDefault();
      this.pan(...step);
    });
    element.addEventListener("dblclick", () => this.fit());
  }

  /** Tells frames.js to go on through the volume: by a turn of the wheel, or by so many slices. */
  #turn({ deltaY, deltaMode, shiftKey, steps }) {
    this.element.dispatchEvent(new CustomEvent("turn", { bubbles: true, detail: { deltaY, deltaMode, shiftKey, steps } }));
  }

  /** A finger that moves over an image that is there as a whole goes through the volume, up to the head. */
  #swipe(dy) {
    this.swiped = (this.swiped ?? 0) - dy;
    const steps = Math.trunc(this.swiped / SWIPE);
    if (!steps) return;
    this.swiped -= steps * SWIPE;
    this.#turn({ steps });
  }

  /** The wider the window, the further a drag moves it. */
  #drag(dx, dy) {
    const { level, width } = this.limits;
    const step = Math.max(1, this.width / 200);
    this.onWindow(clampTo(this.level + (step * dy) / 4, ...level), clampTo(this.width + (step * dx) / 2, ...width));
  }

  #pinch(before, now, other) {
    const box = this.element.getBoundingClientRect();
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    if (apart(before) > 5) this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
  }
}

/** An outline twice, dark under bright, so that it shows on any image; and its number. */
function drawn({ outline, box, peak }, number, { width, height }) {
  const points = outline.map((corner) => corner.join(",")).join(" ");
  const size = Math.max(width, height) / 32;
  const label = svg("text", { x: box[0], y: Math.max(size, box[1] - size / 3), "font-size": size });
  label.textContent = `${number}`;
  const title = svg("title", {});
  title.textContent = t("Place {n}: strength {share} of 100", { n: number, share: Math.round(100 * peak) });
  const lines = ["under", "over"].map((name) => svg("polygon", { points, class: name }));
  lines[1].append(title);
  return [...lines, label];
}

function clampTo(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

/** Red, green and blue for each of 256 strengths: Uint8Array(768). */
function tableOf(name) {
  const stops = (MAPS[name] ?? MAPS.inferno).match(/../g).map((pair) => parseInt(pair, 16));
  const last = stops.length / 3 - 1;
  const table = new Uint8Array(768);
  for (let level = 0; level < 256; level += 1) {
    const place = (level / 255) * last;
    const below = Math.min(Math.floor(place), last - 1);
    for (let part = 0; part < 3; part += 1) {
      const [from, to] = [stops[3 * below + part], stops[3 * below + 3 + part]];
      table[3 * level + part] = Math.round(from + (to - from) * (place - below));
    }
  }
  return table;
}
