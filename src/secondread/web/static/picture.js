// An image with its heat map over it, the controls of the heat map, and the image as large as the window allows.

import { boxesShown, drawBoxes } from "./boxes.js";
import { byId, drawnKey, el, isDrawn, remember, remembered, t } from "./page.js";

/** What the next image starts with: the reader's last choice, of negatives one of its own. */
let strength = Number(remembered("heatmap-strength", "55"));

/** { frame, controls, toggle, nudge } for a result; controls is null where there is no heat map. */
export function picture(result) {
  const { display } = result.entry;
  const onCard = (kind) => result.element?.querySelector(`img.${kind}`); // which may show another frame of the file by now
  const base = el("img", { class: "base", loading: "lazy", src: onCard("base")?.src ?? result.imageUrl, alt: t("The image {name}", { name: result.name }), draggable: "false" });
  const frame = el("div", { class: "frame" }, base);
  frame.style.setProperty("--ratio", `${display.width} / ${display.height}`);
  frame.style.setProperty("--wide", display.width / display.height);
  const boxes = boxesOver(frame, result.boxes, onCard);
  if (!result.heatmapUrl) return { frame, controls: boxes && el("div", { class: "heat-controls" }, boxes), toggle() {}, nudge() {} };
  const alt = t("Heat map: what the model used, not where disease is");
  const heat = el("img", { class: "heat", loading: "lazy", src: onCard("heat")?.src ?? result.heatmapUrl, alt, draggable: "false" });
  heat.style.visibility = onCard("heat")?.style.visibility ?? "";
  base.after(heat);
  return { frame, ...controlsOf(heat, result.entry.decision, boxes) };
}

/** Lays the boxes of an answer over its picture; their switch, or null where it has none. */
function boxesOver(frame, layer, onCard) {
  if (!layer) return null;
  const shown = onCard("base") ? layer.cloneNode(true) : layer; // a second picture: with what the card shows by now
  frame.append(shown);
  if (shown === layer) drawBoxes(frame);
  return el("button", { type: "button", class: "boxes-switch", "aria-pressed": String(boxesShown()), "aria-keyshortcuts": "v" }, t("Boxes"));
}

export class Viewer {
  #results = [];
  #at = 0;
  #picture = null;

  /** titleOf(result): what stands above it; onClose(result): called with the result last looked at. */
  constructor(titleOf, onClose) {
    this.titleOf = titleOf;
    this.dialog = byId("viewer");
    this.dialog.addEventListener("close", () => onClose(this.#results[this.#at]));
  }

  get open() {
    return this.dialog.open;
  }

  show(result, results) {
    this.#results = results.filter(({ imageUrl }) => imageUrl);
    this.#at = this.#results.indexOf(result);
    this.#draw();
    this.dialog.showModal();
  }

  /** The next image (1) or the one before (-1). */
  step(by) {
    this.#at = Math.min(this.#results.length - 1, Math.max(0, this.#at + by));
    this.#draw();
  }

  toggle() {
    this.#picture.toggle();
  }

  nudge(by) {
    this.#picture.nudge(by);
  }

  #draw() {
    const result = this.#results[this.#at];
    this.#picture = picture(result);
    const place = this.#results.length > 1 ? t("{n} of {all}", { n: this.#at + 1, all: this.#results.length }) : "";
    byId("viewer-title").textContent = [this.titleOf(result), place].filter(Boolean).join(" · ");
    byId("viewer-image").replaceChildren(this.#picture.frame);
    byId("viewer-controls").replaceChildren(...[this.#picture.controls].filter(Boolean));
  }
}

function controlsOf(heat, decision, boxes) {
  const state = { on: isDrawn("heatmap", decision), strength };
  const button = el("button", { type: "button", class: "heat-switch", "aria-keyshortcuts": "h" }, t("Heat map"));
  const slider = el("input", { type: "range", min: "5", max: "100", step: "5", "aria-label": t("Strength of the heat map") });
  const value = el("output", { class: "number" });
  const keep = () => {
    remember(drawnKey("heatmap", decision), state.on ? "on" : "off");
    remember("heatmap-strength", state.strength);
    strength = state.strength;
    show();
  };
  const show = () => {
    heat.hidden = !state.on;
    heat.style.opacity = state.strength / 100;
    button.setAttribute("aria-pressed", state.on);
    slider.value = state.strength;
    slider.disabled = !state.on;
    slider.setAttribute("aria-valuetext", t("{n} percent", { n: state.strength }));
    value.textContent = `${state.strength} %`;
  };
  const toggle = (on = !state.on) => {
    state.on = on;
    keep();
  };
  const nudge = (step) => {
    state.strength = Math.min(100, Math.max(5, state.strength + step));
    state.on = true;
    keep();
  };
  button.addEventListener("click", () => toggle());
  slider.addEventListener("input", () => {
    state.strength = Number(slider.value);
    keep();
  });
  show();
  return { controls: el("div", { class: "heat-controls" }, boxes, button, slider, value), toggle, nudge };
}
