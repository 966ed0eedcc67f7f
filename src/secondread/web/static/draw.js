// A person's own boxes on a stage: drawn by dragging, moved, resized, deleted, with mouse, finger or keys; then saved.

import { boxesShown, drawnBox, marksOf, sure, toggleBoxes } from "./boxes.js";
import { addKeys } from "./keys.js";
import { ask, byId, el, svg, t, toast } from "./page.js";

const REACH = 12; // pixels of the screen: as near as that a corner is taken hold of
const LEAST = 4; // pixels of the screen: a shorter drag draws nothing
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SIDES = [[0, 0], [1, 0], [2, 0], [0, 1], [2, 1], [0, 2], [1, 2], [2, 2]]; // of a box: left, middle, right; top to bottom

export class Drawing {
  #boxes = []; // { box: [x, y, width, height], of: number of the network's box or null }
  #before = []; // what Undo brings back
  #chosen = -1;
  #drag = null;
  #away = false; // another frame is looked at than the one that answered, whose boxes these are
  #wanted = false; // to be drawn once that one is there again

  /** stage: see stage.js; panel: the element with its buttons and its list. */
  constructor(stage, panel) {
    Object.assign(this, { stage, panel, list: panel.querySelector(".box-list"), on: false });
    this.found = marksOf(stage.element.querySelector("svg.boxes"));
    this.layer = svg("svg", { class: "boxes drawing", viewBox: `0 0 ${stage.size.width} ${stage.size.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    stage.film.append(this.layer);
    this.#boxes = JSON.parse(panel.dataset.mine) ?? this.#asFound();
    panel.addEventListener("click", ({ target }) => this.#act(target.closest("[data-box]")?.dataset));
    panel.addEventListener("focusin", ({ target }) => target.dataset.at && this.#choose(Number(target.dataset.at)));
    addKeys(t("Your boxes"), this.#keys, ({ target }) => panel.contains(target) && target.dataset.at !== undefined);
    const acts = { pointerdown: (event) => this.#down(event), pointermove: (event) => this.#move(event), pointerup: () => this.#up(), pointercancel: () => this.#up() };
    for (const [name, act] of Object.entries(acts)) {
      stage.element.addEventListener(name, (event) => {
        if (!this.on || (name === "pointerdown" && event.button)) return;
        if (stage.fingers.size > 1) return this.#up(); // two fingers zoom
        event.stopImmediatePropagation();
        act(event);
      }, { capture: true });
    }
    stage.element.addEventListener("dblclick", (event) => this.on && event.stopImmediatePropagation(), { capture: true });
    stage.element.addEventListener("placed", () => this.on && this.#show());
    stage.element.closest(".view")?.addEventListener("stepped", ({ detail: { at, answers } }) => {
      this.#away = at !== answers;
      this.edit((this.on || this.#wanted) && !this.#away);
    });
    addEventListener("beforeunload", (event) => this.#before.length && event.preventDefault());
    this.#show();
  }

  /** Whether drags draw; the network's own boxes stay to be seen under one's own. */
  edit(on = !this.on) {
    this.#wanted = on && this.#away;
    this.on = on && !this.#away;
    if (this.on && !boxesShown()) toggleBoxes(true);
    this.stage.element.classList.toggle("drawing", this.on);
    this.#show();
    if (this.#wanted) this.stage.element.closest(".view").querySelector(".frames-back").click();
  }

  #asFound() {
    return this.found.map(({ box, number }) => ({ box: [...box], of: number }));
  }

  #act({ box: name, at } = {}) {
    const { width, height } = this.stage.size;
    if (name === "edit") this.edit();
    else if (name === "choose") this.#choose(Number(at));
    else if (name === "delete") this.#delete(Number(at));
    else if (name === "add") this.#change(() => (this.#chosen = this.#boxes.push({ box: [0.375 * width, 0.375 * height, 0.25 * width, 0.25 * height], of: null }) - 1), true);
    else if (name === "found") this.#change(() => (this.#boxes = this.#asFound()));
    else if (name === "undo") this.#undo();
    else if (name === "save") this.#save();
  }

  /** Does something that Undo takes back. focus: on the chosen box's entry. */
  #change(act, focus = false) {
    this.#keep();
    act();
    this.edit(true);
    if (focus) this.#entry()?.focus();
  }

  #keep() {
    this.#before.push(structuredClone(this.#boxes));
  }

  #undo() {
    this.#boxes = this.#before.pop() ?? this.#boxes;
    this.#chosen = -1;
    this.#show();
  }

  #delete(at) {
    this.#change(() => this.#boxes.splice(at, 1));
    this.#choose(-1);
    (this.list.querySelector("button") ?? this.panel.querySelector('[data-box="add"]')).focus();
  }

  #choose(at) {
    if (at === this.#chosen) return;
    this.#chosen = at;
    if (at >= 0 && !this.on) this.edit(true);
    else this.#show();
  }

  async #save() {
    const boxes = this.#boxes.map(({ box, of }) => ({ box: box.map((side) => Math.round(10 * side) / 10), of }));
    try {
      const made = await ask(this.panel.dataset.address, { method: "POST", body: JSON.stringify({ boxes }), headers: { "Content-Type": "application/json" } });
      this.#before = [];
      this.#boxes = made.boxes.map(({ box, of }) => ({ box, of }));
      this.edit(false);
      const told = t("{kept} kept, {moved} moved, {deleted} deleted, {added} added", made);
      toast(`${t("Boxes saved")}: ${told}`);
      const history = byId("boxes-history");
      history.append(el("li", {}, el("b", {}, made.person), `: ${told} · ${t("just now")}`));
    } catch (error) {
      toast(error.message);
    }
  }

  /** Arrows move the chosen box by a hundredth of the image, with Shift they resize it; Delete deletes it. */
  get #keys() {
    const arrows = Object.keys(ARROWS);
    return [
      [arrows, t("Move the box in focus"), (key, event) => this.#nudge(event)],
      [arrows.map((key) => `Shift+${key}`), t("Resize the box in focus"), (key, event) => this.#nudge(event)],
      [["Delete", "Backspace"], t("Delete the box in focus"), (key, { target }) => this.#delete(Number(target.dataset.at))],
    ];
  }

  #nudge({ key, shiftKey, target }) {
    const at = Number(target.dataset.at);
    const step = Math.max(1, Math.max(this.stage.size.width, this.stage.size.height) / 100) * this.stage.view.scale;
    const [dx, dy] = this.stage.wayOf(...ARROWS[key].map((way) => way * step));
    const [x, y, width, height] = this.#boxes[at].box;
    const corners = shiftKey ? [x, y, x + width + dx, y + height + dy] : [x + dx, y + dy, x + width + dx, y + height + dy];
    this.#change(() => (this.#boxes[at].box = this.#boxOf(corners, !shiftKey)), true);
  }

  #down(event) {
    event.preventDefault();
    this.stage.element.setPointerCapture(event.pointerId);
    const start = this.stage.imageAt(event);
    const handle = this.#handleAt(start);
    if (!handle) this.#chosen = this.#boxAt(start);
    const box = this.#boxes[this.#chosen]?.box;
    this.#keep();
    this.#drag = { start, handle, box: box && [...box], began: false };
    this.#show();
  }

  #move(event) {
    const drag = this.#drag;
    if (!drag) return;
    const [x, y] = this.stage.imageAt(event);
    const [dx, dy] = [x - drag.start[0], y - drag.start[1]];
    if (!drag.began && Math.hypot(dx, dy) * this.stage.view.scale < LEAST) return;
    if (!drag.began && !drag.box) this.#chosen = this.#boxes.push({ box: [], of: null }) - 1;
    drag.began = true;
    const chosen = this.#boxes[this.#chosen];
    if (!drag.box) chosen.box = this.#boxOf([...drag.start, x, y]);
    else {
      const [left, top, width, height] = drag.box;
      const corners = [left, top, left + width, top + height];
      if (drag.handle) [dx, dy].forEach((by, axis) => drag.handle[axis] !== 1 && (corners[axis + drag.handle[axis]] += by));
      else corners.forEach((_, at) => (corners[at] += at % 2 ? dy : dx));
      chosen.box = this.#boxOf(corners, !drag.handle);
    }
    this.#show();
  }

  #up() {
    if (this.#drag && !this.#drag.began) this.#before.pop(); // nothing was done
    this.#drag = null;
    this.#show();
  }

  /** From two corners, inside the image; whole: as large as it is. */
  #boxOf([x0, y0, x1, y1], whole = false) {
    const sides = [[x0, x1, this.stage.size.width], [y0, y1, this.stage.size.height]].map(([from, to, length]) => {
      const [low, high] = [Math.min(from, to), Math.max(from, to)];
      if (whole) return [Math.min(Math.max(0, low), length - (high - low)), high - low];
      const start = Math.min(Math.max(0, low), length - 1);
      return [start, Math.max(1, Math.min(length, high) - start)];
    });
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]];
  }

  /** The side or corner of the chosen box that lies there: [column, row] of SIDES. */
  #handleAt([x, y]) {
    const box = this.#boxes[this.#chosen]?.box;
    const far = ([column, row]) => Math.hypot(box[0] + (column * box[2]) / 2 - x, box[1] + (row * box[3]) / 2 - y) * this.stage.view.scale;
    return box && SIDES.find((side) => far(side) <= REACH);
  }

  /** The smallest box there, or -1. */
  #boxAt([x, y]) {
    const inside = this.#boxes.map(({ box: [left, top, width, height] }, at) => [width * height, at, x >= left && x <= left + width && y >= top && y <= top + height]);
    return inside.filter(([, , there]) => there).sort(([one], [other]) => one - other)[0]?.[1] ?? -1;
  }

  #entry() {
    return this.list.querySelector(`.name[data-at="${this.#chosen}"]`);
  }

  #nameOf({ of }, at) {
    const mark = this.found.find(({ number }) => number === of);
    if (!mark) return t("Box {n}: yours", { n: at + 1 });
    return t("Box {n}: found, score {score} of 100, {sure}", { n: at + 1, score: mark.score, sure: sure(mark.line) });
  }

  #show() {
    this.panel.querySelector('[data-box="edit"]').setAttribute("aria-pressed", this.on);
    this.panel.querySelector('[data-box="undo"]').disabled = !this.#before.length;
    this.layer.toggleAttribute("hidden", !this.on);
    const drawn = this.#boxes.map((one, at) => {
      const group = drawnBox({ box: one.box, name: String(at + 1), kind: `own solid${at === this.#chosen ? " chosen" : ""}`, said: this.#nameOf(one, at) }, this.stage.size);
      if (at === this.#chosen) group.append(...this.#handles(one.box));
      return group;
    });
    this.layer.replaceChildren(...drawn);
    this.#showList();
  }

  /** Anew only where there are others: a button that is being pressed stays the same. */
  #showList() {
    const names = this.#boxes.map((one, at) => this.#nameOf(one, at)).join("\n");
    if (names !== this.listed) this.list.replaceChildren(...this.#boxes.map((one, at) => this.#line(one, at)));
    this.listed = names;
    for (const name of this.list.querySelectorAll(".name")) name.setAttribute("aria-pressed", Number(name.dataset.at) === this.#chosen);
  }

  #line(one, at) {
    const name = this.#nameOf(one, at);
    return el(
      "li",
      {},
      el("button", { type: "button", class: "name", "data-box": "choose", "data-at": at }, name),
      el("button", { type: "button", "data-box": "delete", "data-at": at, "aria-label": t("Delete {name}", { name }) }, t("Delete")),
    );
  }

  #handles([x, y, width, height]) {
    const side = 8 / this.stage.view.scale;
    return SIDES.map(([column, row]) => svg("rect", { class: "handle", x: x + (column * width) / 2 - side / 2, y: y + (row * height) / 2 - side / 2, width: side, height: side }));
  }
}
