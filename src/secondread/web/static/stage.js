// One image on a stage: how it lies, zoom, pan, window and level, and the heat map over it.

import { listenTo } from "./gestures.js";
import { Greys } from "./greys.js";
import { drawnOutline, paintHeat, strengthsAt } from "./heat.js";
import { ask, t } from "./page.js";
import { extent, lettersSeen, matrixOf, toImage, toStage, UPRIGHT, wayInImage } from "./placing.js";

const NEAREST = 0.02; // smallest and largest scale
const FARTHEST = 40;
const KEEP = 40; // pixels of the image that always stay on the stage
const SIDES = ["left", "right", "top", "bottom"];

export class Stage {
  #letters = null; // of the image as the file shows it
  #asked = new Map(); // frame → what the file says of it

  /** onMove(stage) and onWindow(stage, level, width) tell what the user did, so that others may follow. */
  constructor(element, { onMove = () => {}, onWindow = () => {}, onDepth = () => {} } = {}) {
    this.element = element;
    this.film = element.querySelector(".film");
    this.image = element.querySelector("img");
    this.canvas = element.querySelector(".heat-layer");
    Object.assign(this, { onMove, onWindow, windowing: false, held: false, fitted: true, view: { scale: 1, x: 0, y: 0 }, lie: UPRIGHT });
    this.size = { width: Number(element.dataset.width), height: Number(element.dataset.height) };
    const frames = element.closest(".view")?.querySelector(".frames");
    Object.assign(this, { several: Boolean(frames), stack: Boolean(frames?.matches("[data-stack]")), frame: Number(frames?.dataset.at) || null });
    this.greys = new Greys(element, { say: (sentence) => this.say(sentence), onDepth: () => onDepth(this) });
    this.film.style.width = `${this.size.width}px`;
    this.film.style.height = `${this.size.height}px`;
    this.ready = Promise.all([this.#load(), this.#loadHeat()]);
    new ResizeObserver(() => (this.fitted ? this.fit() : this.#show())).observe(element);
    listenTo(this);
    this.tellGeometry();
  }

  async #load() {
    this.image.src = this.element.dataset.image;
    try {
      await this.image.decode();
    } catch {
      this.say(t("The image could not be loaded. Load the page again."));
    }
  }

  /** Shows another frame of the same file. addresses: { frame, image, heat, regions, depth }, empty where it has none. */
  async replace({ frame, image, heat, regions, depth }) {
    const { dataset } = this.element;
    dataset.image = image;
    if (dataset.heat !== undefined) dataset.heat = heat;
    if (dataset.regions !== undefined) dataset.regions = regions;
    if (dataset.depth) dataset.depth = depth;
    Object.assign(this, { frame, strength: null, regions: null, heatIsLate: true });
    this.greys.forget();
    this.canvas.hidden = true;
    this.element.querySelector(".outlines").replaceChildren();
    this.say("", true);
    this.ready = this.#load();
    await this.ready;
  }

  async #loadHeat() {
    if (!this.element.dataset.heat) return;
    try {
      this.strength = await strengthsAt(this.element.dataset.heat, this.canvas);
    } catch {
      // The image is worth showing without it.
    }
  }

  /** Shows the heat map in these colours, opaque where it is strong. */
  async paint({ on, opacity, colours }) {
    await this.ready;
    if (on && this.heatIsLate) { // of a frame that was stepped to, made only where it is shown
      this.heatIsLate = false;
      await this.#loadHeat();
    }
    if (!this.strength) return;
    paintHeat(this.canvas, this.strength, colours);
    this.canvas.style.opacity = opacity / 100;
    this.canvas.hidden = !on;
    this.say(on && !this.strength.some((level) => level > 0) ? t("The heat map is empty: no part of the image spoke for disease.") : "", true);
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
        this.say(error.message);
        return;
      }
      lines.replaceChildren(...this.regions.regions.flatMap((region, at) => drawnOutline(region, at + 1, this.size)));
    }
    lines.toggleAttribute("hidden", !on);
    if (!this.regions?.given) return;
    this.say(on && this.regions.regions.length === 0 ? t("No outline: no part of the image spoke for disease.") : "", true);
  }

  /** What the file says of the frame at hand: { spacing, kind, letters, windows, unit }; null where it cannot be asked. */
  geometry() {
    const { frame } = this;
    if (!this.#asked.has(frame)) {
      const asked = ask(`${this.element.dataset.geometry}${frame ? `?frame=${frame}` : ""}`).catch(() => null);
      this.#asked.set(frame, asked);
    }
    return this.#asked.get(frame);
  }

  /** Shows the letters of the frame at hand and makes its windows known, once it is looked at for a moment. */
  async tellGeometry() {
    const { frame } = this;
    const found = await this.geometry();
    if (frame !== this.frame) return;
    this.#letters = found?.letters ?? null;
    Object.assign(this.greys, { own: found?.windows ?? [], unit: found?.unit ?? "" });
    this.#showLetters();
    this.element.dispatchEvent(new CustomEvent("known", { bubbles: true }));
  }

  /** A quarter clockwise (1) or back (-1), or another way to lie; what is in the middle stays there. */
  lieAs(lie) {
    const middle = [this.element.clientWidth / 2, this.element.clientHeight / 2];
    const place = toImage(this.matrix, middle);
    this.lie = lie;
    if (this.fitted) return this.fit();
    const [x, y] = toStage(matrixOf({ ...this.view, x: 0, y: 0 }, lie, this.size), place);
    return this.place({ ...this.view, x: middle[0] - x, y: middle[1] - y });
  }

  fit() {
    const { clientWidth, clientHeight } = this.element;
    const { width, height } = extent(this.size, this.lie);
    const scale = this.#whole;
    this.fitted = true;
    this.place({ scale, x: (clientWidth - scale * width) / 2, y: (clientHeight - scale * height) / 2 });
  }

  /** The scale at which all of it is there. */
  get #whole() {
    const { width, height } = extent(this.size, this.lie);
    return Math.min(this.element.clientWidth / width, this.element.clientHeight / height);
  }

  /** Zooms by a factor around a point of the stage, its middle where none is given. */
  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const scale = Math.min(FARTHEST, Math.max(NEAREST, this.view.scale * factor));
    const ratio = scale / this.view.scale;
    this.fitted = false;
    this.place({ scale, x: x - ratio * (x - this.view.x), y: y - ratio * (y - this.view.y) });
    this.onMove(this);
  }

  pan(x, y) {
    this.fitted = false;
    this.place({ ...this.view, x: this.view.x + x, y: this.view.y + y });
    this.onMove(this);
  }

  place({ scale, x, y }) {
    const { width, height } = extent(this.size, this.lie);
    const clamp = (at, least, most) => Math.min(most, Math.max(least, at));
    this.view = { scale, x: clamp(x, KEEP - scale * width, this.element.clientWidth - KEEP), y: clamp(y, KEEP - scale * height, this.element.clientHeight - KEEP) };
    this.#show();
  }

  /** The view in shares, for an image of another size: zoom of the whole, and what of the image is in the middle. */
  get shares() {
    const [u, v] = toImage(this.matrix, [this.element.clientWidth / 2, this.element.clientHeight / 2]);
    return { zoom: this.view.scale / this.#whole, u: u / this.size.width, v: v / this.size.height, fitted: this.fitted };
  }

  /** Lies and stands as another stage does. */
  follow({ lie, shares: { zoom, u, v, fitted } }) {
    this.lie = lie;
    if (fitted) return this.fit();
    const scale = zoom * this.#whole;
    const [x, y] = toStage(matrixOf({ scale, x: 0, y: 0 }, lie, this.size), [u * this.size.width, v * this.size.height]);
    this.fitted = false;
    return this.place({ scale, x: this.element.clientWidth / 2 - x, y: this.element.clientHeight / 2 - y });
  }

  /** See matrixOf in placing.js. */
  get matrix() {
    return matrixOf(this.view, this.lie, this.size);
  }

  /** The place of the image under a pointer. */
  imageAt({ clientX, clientY }) {
    const { left, top } = this.element.getBoundingClientRect();
    return toImage(this.matrix, [clientX - left, clientY - top]);
  }

  /** A way over the stage as a way in the image: so many pixels of the screen to the right and down. */
  wayOf(dx, dy) {
    return wayInImage(this.matrix, [dx, dy]);
  }

  /** A finger that rested sets the window as long as it is down. */
  hold(on) {
    if (on === this.held) return;
    this.held = on;
    this.element.classList.toggle("windowing", on || this.windowing);
    this.say(on ? t("Drag sideways for the width of the window, up and down for its level.") : "", true);
  }

  /** The wider the window, the further a drag moves it. */
  dragWindow(dx, dy) {
    const { limits: { level, width }, level: now, width: wide } = this.greys;
    const step = Math.max(1, wide / 200);
    this.onWindow(this, clampTo(now + (step * dy) / 4, ...level), clampTo(wide + (step * dx) / 2, ...width));
  }

  /** note: nothing is wrong, it is good to know. */
  say(sentence, note = false) {
    const place = this.element.querySelector(".stage-trouble");
    if (place.textContent && note && !place.classList.contains("note")) return; // a failure stays
    place.textContent = sentence;
    place.classList.toggle("note", note);
    place.hidden = !sentence;
  }

  #show() {
    const { scale } = this.view;
    this.film.style.transform = `matrix(${this.matrix.join(", ")})`;
    this.film.style.setProperty("--zoom", scale); // outlines stay thin however near one looks
    this.film.style.setProperty("--turn", `${-90 * this.lie.turn}deg`); // and names stand upright
    this.film.style.setProperty("--mirror", this.lie.mirrored ? -1 : 1);
    this.film.classList.toggle("sharp", !this.fitted && scale >= 3);
    this.#showLetters();
    this.element.dispatchEvent(new CustomEvent("placed"));
  }

  #showLetters() {
    const seen = this.#letters ? lettersSeen(this.#letters, this.lie) : ["", "", "", ""];
    SIDES.forEach((side, at) => (this.element.querySelector(`.side-letter.${side}`).textContent = seen[at]));
  }
}

function clampTo(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
