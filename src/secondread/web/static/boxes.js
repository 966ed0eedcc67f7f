// Boxes over pictures: those that the network found, solid where it is sure, dotted where it is in doubt; on or off.

import { ask, remember, remembered, svg, t, toast } from "./page.js";

const root = document.documentElement;

/** Whether boxes are drawn: one switch for all pictures. */
export const boxesShown = () => remembered("boxes", "on") === "on";

export function toggleBoxes(on = !boxesShown()) {
  remember("boxes", on ? "on" : "off");
  showSwitches();
}

function showSwitches() {
  root.classList.toggle("boxes-off", !boxesShown());
  for (const button of document.querySelectorAll(".boxes-switch")) button.setAttribute("aria-pressed", boxesShown());
}

/** What is drawn of one box: dark under bright, so that it shows on any image, and its name. kind: of its line. */
export function drawnBox({ box: [x, y, width, height], name, kind, said }, size) {
  const group = svg("g", { class: `mark ${kind}` });
  const letter = Math.max(size.width, size.height) / 32;
  const place = { x, y, width, height };
  const label = svg("text", { x, y: y > 1.3 * letter ? y - letter / 3 : y + height + letter, "font-size": letter });
  label.textContent = name;
  const over = svg("rect", { ...place, class: "over" });
  const title = svg("title", {});
  title.textContent = said;
  over.append(title);
  group.append(svg("rect", { ...place, class: "under" }), over, label);
  return group;
}

export const sure = (line) => (line === "solid" ? t("sure") : t("in doubt"));

export const saidOf = ({ number, score, line }) => t("Box {n}: score {score} of 100, {sure}", { n: number, score, sure: sure(line) });

/** Draws a layer's boxes: marks as the API gives them. */
export function drawMarks(layer, marks) {
  const { width, height } = layer.viewBox.baseVal;
  layer.replaceChildren(...marks.map((mark) => drawnBox({ box: mark.box, name: `${mark.number}`, kind: mark.line, said: saidOf(mark) }, { width, height })));
}

export const marksOf = (layer) => JSON.parse(layer.dataset.marks);

/** Brings the layers inside an element to life. */
export function drawBoxes(element) {
  for (const layer of element.querySelectorAll("svg.boxes")) drawMarks(layer, marksOf(layer));
  showSwitches();
}

const asked = new WeakMap(); // layer → how often its frame has changed

/** Another frame of the file stands under the layer: its own boxes over it. */
document.addEventListener("stepped", async ({ target, detail: { at, answers } }) => {
  const layer = (target.closest(".card") ?? target.closest(".view"))?.querySelector("svg.boxes");
  if (!layer) return;
  const own = (asked.get(layer) ?? 0) + 1;
  asked.set(layer, own);
  layer.replaceChildren();
  if (at === answers) return drawMarks(layer, marksOf(layer));
  try {
    const { found } = await ask(`${layer.dataset.address}?frame=${at}`);
    if (own === asked.get(layer)) drawMarks(layer, found);
  } catch (error) {
    if (own === asked.get(layer)) toast(`${t("The boxes of this frame could not be loaded: it is shown without them.")} ${error.message}`);
  }
});

document.addEventListener("click", ({ target }) => target.closest?.(".boxes-switch") && toggleBoxes());
