// Ruler, angle and Cobb angle on a stage: set by drags, taps or keys; moved and deleted. They are not kept: they leave with the page.

import { el, svg, t } from "./page.js";
import { toStage } from "./placing.js";
import { inTheMiddle, linesOf, middleOf, moved, nearest, PLACES, valueOf, written } from "./measures.js";

const REACH = { mouse: 10, pen: 14, touch: 24 }; // pixels of the screen
const LEAST = 4; // pixels of the screen: a shorter drag is a tap
const MANY = 10; // pixels of the screen that Shift and an arrow key move

export class Measuring {
  #all = []; // { kind, places, frame }, by number
  #new = null; // the one that is being set
  #drag = null;
  #chosen = { at: -1, end: -1 }; // end -1: the whole
  #listed = "";

  /** stage: see stage.js; panel: the element with its list; onTool(): the tool that is on has changed. */
  constructor(stage, panel, { onTool = () => {} } = {}) {
    Object.assign(this, { stage, panel, onTool, list: panel.querySelector(".measure-list"), tool: null, spacing: null, kind: "" });
    this.layer = svg("svg", { class: "measures", "aria-hidden": "true" });
    stage.element.append(this.layer);
    const acts = { pointerdown: (event) => this.#down(event), pointermove: (event) => this.#move(event), pointerup: (event) => this.#up(event), pointercancel: () => this.#cancel() };
    for (const [name, act] of Object.entries(acts)) {
      stage.element.addEventListener(name, (event) => act(event) && event.stopImmediatePropagation(), { capture: true });
    }
    stage.element.addEventListener("dblclick", (event) => this.tool && event.stopImmediatePropagation(), { capture: true });
    stage.element.addEventListener("placed", () => this.#draw());
    stage.element.addEventListener("known", () => this.#know());
    panel.addEventListener("click", ({ target }) => this.#act(target.closest("[data-measure]")?.dataset));
    panel.addEventListener("focusin", ({ target }) => target.dataset.at && this.#choose(Number(target.dataset.at), -1));
  }

  /** Turns a tool on, or off where it is on already: 'ruler', 'angle', 'cobb'; null: none. */
  use(tool) {
    this.tool = this.tool === tool ? null : tool;
    this.#cancel();
    this.stage.element.classList.toggle("measuring", Boolean(this.tool));
    this.onTool(this.tool);
    this.#show();
  }

  /** Another frame is looked at: its own measurements are over it. */
  step() {
    this.#cancel();
    this.#choose(-1, -1);
    this.#show();
  }

  clear() {
    this.#all = [];
    this.#choose(-1, -1);
    this.#show();
  }

  /** Deletes the chosen one, else the one that was set last. */
  delete(at = this.#chosen.at >= 0 ? this.#chosen.at : this.#all.length - 1) {
    if (!this.#all[at]) return false;
    this.#all.splice(at, 1);
    this.#choose(-1, -1);
    this.#show();
    (this.list.querySelector("button") ?? this.panel.querySelector("button")).focus();
    return true;
  }

  /** One in the middle, for whoever does not draw; its entry gets the focus. */
  putOne(kind = this.tool ?? "ruler") {
    this.#keep({ kind, places: inTheMiddle(kind, this.stage.size) });
    this.list.querySelector(`.name[data-at="${this.#all.length - 1}"]`).focus();
  }

  /** The next part of the chosen one that the arrow keys move: the whole, then each end. */
  nextPart() {
    const { at, end } = this.#chosen;
    if (!this.#all[at]) return false;
    this.#choose(at, end + 1 < this.#all[at].places.length ? end + 1 : -1);
    this.#show();
    return true;
  }

  /** Moves the chosen part by so many pixels of the screen. */
  nudge(dx, dy, many) {
    const { at, end } = this.#chosen;
    if (!this.#all[at]) return false;
    const step = many ? MANY : 1;
    this.#all[at] = moved(this.#all[at], end, this.stage.wayOf(step * dx, step * dy), this.stage.size);
    this.#show();
    return true;
  }

  async #know() {
    const found = await this.stage.geometry();
    this.spacing = found?.spacing ?? null;
    this.kind = found?.kind ?? "";
    this.#listed = "";
    this.#show();
  }

  #act({ measure: name, at } = {}) {
    if (name === "choose") this.#choose(Number(at), -1);
    else if (name === "delete") this.delete(Number(at));
    else if (name === "put") this.putOne();
    else if (name === "clear") this.clear();
  }

  #keep(measure) {
    this.#all.push({ ...measure, frame: this.stage.frame });
    this.#choose(this.#all.length - 1, -1);
    this.#show();
  }

  /** Those of the frame at hand, with their numbers: [[at, measure], …]. */
  get #here() {
    return [...this.#all.entries()].filter(([, { frame }]) => frame === this.stage.frame);
  }

  #choose(at, end) {
    if (at === this.#chosen.at && end === this.#chosen.end) return;
    this.#chosen = { at, end };
    this.#show();
  }

  /** Whether the tool takes the event. */
  #down(event) {
    if (event.button || this.stage.element.classList.contains("drawing")) return false;
    if (this.stage.fingers.size > 1) return this.#cancel();
    const place = this.stage.imageAt(event);
    const reach = (REACH[event.pointerType] ?? REACH.mouse) / this.stage.view.scale;
    const here = this.#here;
    const near = this.#new ? null : nearest(here.map(([, measure]) => measure), place, reach);
    if (!near && !this.tool) {
      this.#choose(-1, -1);
      return false;
    }
    event.preventDefault();
    this.stage.element.focus({ preventScroll: true });
    this.stage.element.setPointerCapture(event.pointerId);
    const start = [event.clientX, event.clientY];
    if (near) {
      const at = here[near.at][0];
      this.#choose(at, near.end);
      this.#drag = { start, place, at, end: near.end, before: this.#all[at] };
    } else {
      this.#new ??= { kind: this.tool, places: [], set: 0 };
      this.#set(place);
      this.#drag = { start, place, at: -1 };
      this.#finish();
    }
    this.#show();
    return true;
  }

  /** One more place of the new one is set. */
  #set(place) {
    this.#new.places = [...this.#new.places.slice(0, this.#new.set), place];
    this.#new.set += 1;
  }

  #finish() {
    if (this.#new.set < PLACES[this.#new.kind]) return;
    const { kind, places } = this.#new;
    this.#new = null;
    this.#keep({ kind, places });
  }

  #move(event) {
    if (this.stage.fingers.size > 1) return this.#cancel();
    const place = this.stage.imageAt(event);
    if (this.#drag && this.#drag.at >= 0) {
      const { place: from, at, end, before } = this.#drag;
      this.#all[at] = moved(before, end, [place[0] - from[0], place[1] - from[1]], this.stage.size);
    } else if (this.#new) this.#new.places = [...this.#new.places.slice(0, this.#new.set), place]; // as far as it is set, and on to here
    else return Boolean(this.#drag);
    this.#show();
    return Boolean(this.#drag) || Boolean(this.tool);
  }

  #up(event) {
    const drag = this.#drag;
    if (!drag) return false;
    this.#drag = null;
    const far = Math.hypot(event.clientX - drag.start[0], event.clientY - drag.start[1]) >= LEAST;
    if (drag.at < 0 && this.#new && far) { // a drag sets two places, a tap one
      this.#set(this.stage.imageAt(event));
      this.#finish();
    }
    this.#show();
    return true;
  }

  /** Forgets what was being set; gives false: the event is not taken. */
  #cancel() {
    if (this.#drag || this.#new) {
      this.#drag = null;
      this.#new = null;
      this.#show();
    }
    return false;
  }

  /** Where its length is true, in words. */
  get #where() {
    return {
      body: t("Millimetres in the plane of the body."),
      calibrated: t("Millimetres corrected for the magnification of the projection, as the file says."),
      detector: t("Millimetres at the detector: what lies in the body is smaller."),
      unsaid: t("Millimetres of a projection that does not say whether they are true in the body or at the detector."),
      film: t("Millimetres on the film that was scanned."),
      "": t("Pixels: the file does not say how large one is."),
    }[this.kind];
  }

  #name({ kind, frame, places }, at) {
    const title = { ruler: t("Length"), angle: t("Angle"), cobb: t("Cobb angle") }[kind];
    const value = written(valueOf({ kind, places }, this.spacing));
    return `${at + 1}. ${title}: ${value}${frame && this.stage.stack ? ` · ${t("slice {n}", { n: frame })}` : ""}`;
  }

  #show() {
    this.panel.hidden = !this.tool && !this.#all.length;
    this.panel.querySelector(".measure-where").textContent = this.#where;
    this.#draw();
    const names = this.#all.map((one, at) => this.#name(one, at)).join("\n");
    const rows = this.list.children.length;
    if (names !== this.#listed && rows === this.#all.length) this.#all.forEach((one, at) => this.#rename(one, at)); // what has the focus keeps it
    else if (names !== this.#listed) this.list.replaceChildren(...this.#all.map((one, at) => this.#line(one, at)));
    this.#listed = names;
    for (const name of this.list.querySelectorAll(".name")) name.setAttribute("aria-pressed", Number(name.dataset.at) === this.#chosen.at);
  }

  #rename(one, at) {
    const [name, gone] = this.list.children[at].querySelectorAll("button");
    name.textContent = this.#name(one, at);
    gone.setAttribute("aria-label", t("Delete {name}", { name: this.#name(one, at) }));
  }

  #line(one, at) {
    const name = this.#name(one, at);
    return el(
      "li",
      {},
      el("button", { type: "button", class: "name", "data-measure": "choose", "data-at": at, "aria-keyshortcuts": "ArrowUp ArrowDown ArrowLeft ArrowRight Enter Delete" }, name),
      el("button", { type: "button", "data-measure": "delete", "data-at": at, "aria-label": t("Delete {name}", { name }) }, t("Delete")),
    );
  }

  #draw() {
    const { matrix } = this.stage;
    const seen = (place) => toStage(matrix, place);
    const all = this.#here.map(([at, measure]) => [at, measure, `${at + 1}: ${written(valueOf(measure, this.spacing))}`]);
    if (this.#new) {
      const whole = this.#new.places.length >= PLACES[this.#new.kind];
      all.push([-2, this.#new, whole ? written(valueOf(this.#new, this.spacing)) : ""]);
    }
    this.layer.replaceChildren(...all.flatMap(([at, measure, text]) => this.#drawn(measure, text, at === this.#chosen.at, seen)));
  }

  #drawn(measure, text, chosen, seen) {
    const group = svg("g", { class: `measure${chosen ? " chosen" : ""}` });
    for (const [from, to] of linesOf(measure)) {
      const [[x1, y1], [x2, y2]] = [seen(from), seen(to)];
      group.append(svg("line", { x1, y1, x2, y2, class: "under" }), svg("line", { x1, y1, x2, y2, class: "over" }));
    }
    measure.places.forEach((place, end) => {
      const [cx, cy] = seen(place);
      group.append(svg("circle", { cx, cy, r: chosen ? 6 : 4, class: chosen && end === this.#chosen.end ? "end held" : "end" }));
    });
    const [x, y] = seen(middleOf(measure));
    const label = svg("text", { x: x + 10, y: y - 8 });
    label.textContent = text;
    group.append(label);
    return group;
  }
}
