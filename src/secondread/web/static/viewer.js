// One image as large as the window allows.

import { HEADLINE } from "./card.js";
import { byId, percent } from "./dom.js";
import { picture } from "./picture.js";
import { t } from "./words.js";

export class Viewer {
  #results = [];
  #at = 0;
  #picture = null;

  /** onClose(result): called with the result last looked at. */
  constructor(onClose) {
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
    const share = result.entry.probability === null ? "" : percent(result.entry.probability);
    byId("viewer-title").textContent = [HEADLINE[result.status], share, result.name, place].filter(Boolean).join(" · ");
    byId("viewer-image").replaceChildren(this.#picture.frame);
    byId("viewer-controls").replaceChildren(...[this.#picture.controls].filter(Boolean));
  }
}
