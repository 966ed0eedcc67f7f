// The images of a page and the tools for them: one at a time, or all together where they are linked.

import { drawBoxes, toggleBoxes } from "./boxes.js";
import { walksOf } from "./frames.js";
import { addKeys } from "./keys.js";
import { linkedSlice, linkedWindow } from "./linking.js";
import { Measuring } from "./measure.js";
import { byId, drawnKey, el, isDrawn, remember, remembered, t } from "./page.js";
import { mirrored, turned, UPRIGHT, upsideDown } from "./placing.js";
import { Stage } from "./stage.js";
import { plain, presets } from "./windows.js";

const tools = document.querySelector(".viewer-tools:not(.hangings)");
const field = (name) => tools?.querySelector(`[data-set="${name}"]`);
const button = (name) => tools?.querySelector(`[data-act="${name}"]`);
const heat = { opacity: Number(remembered("heatmap-strength", "55")), colours: remembered("heatmap-colours", "inferno") };
const REST = 200; // milliseconds after which a slice counts as looked at
const PAN = 40; // pixels of an arrow key
const NAMES = { // of windows.js
  Brain: t("Brain"), Subdural: t("Subdural"), Stroke: t("Stroke"), Bone: t("Bone"), "Soft tissue": t("Soft tissue"), Lung: t("Lung"), Abdomen: t("Abdomen"),
  "Whole range": t("Whole range"), "Dark half": t("Dark half"), "Bright half": t("Bright half"), "Middle half": t("Middle half"),
};

export const stages = [];
const measuring = new Map(); // stage → what is measured on it
let active = null; // what was last touched: the window and the numbers are its
let linked = true;

const together = () => (linked ? stages : [active]);
const decisionOf = (stage) => stage.element.dataset.decision;

/** Brings an element with an image to life. */
export function addStage(element) {
  const stage = new Stage(element, {
    onMove: (moved) => linked && stages.forEach((other) => other !== moved && other.follow(moved)),
    onWindow: (from, level, width) => setWindow(level, width, from),
    onDepth: (deep) => (deep === active ? setWindow(deep.greys.level, deep.greys.width) : deep.greys.set(deep.greys.level, deep.greys.width, deep.greys.inverted)),
  });
  stages.push(stage);
  active ??= stage;
  for (const event of ["pointerdown", "focus"]) element.addEventListener(event, () => act(stage), { capture: true });
  element.addEventListener("known", () => stage === active && showWindow());
  const panel = element.parentElement.querySelector(".measure-panel");
  if (panel) measuring.set(stage, new Measuring(stage, panel, { onTool: showTool }));
  stage.fit();
  if (stage !== stages[0] && linked) stage.follow(stages[0]);
  drawBoxes(element);
  showHeat();
  showOutlines();
  return stage;
}

/** An image leaves the page. */
export function removeStage(element) {
  const at = stages.findIndex((stage) => stage.element === element);
  if (at < 0) return;
  measuring.delete(stages[at]);
  stages.splice(at, 1);
  if (active?.element === element) act(stages[0]);
}

/** Whether all images move, turn, are windowed and stepped through together. */
export function link(on) {
  linked = on;
  if (on) stages.forEach((stage) => stage !== active && stage.follow(active));
}

function act(stage) {
  if (active === stage) return;
  active = stage;
  stages.forEach((one) => one.element.classList.toggle("active", one === stage && stages.length > 1));
  showWindow();
}

function setWindow(level, width, from = active) {
  active = from;
  from.greys.set(level, width, from.greys.inverted);
  for (const other of linked ? stages : []) {
    if (other !== from) other.greys.set(...linkedWindow(from.greys, other.greys), other.greys.inverted);
  }
  showWindow();
}

/** The fields of the active image's window. */
function showWindow() {
  if (!tools || !active) return;
  const { greys } = active;
  for (const name of ["level", "width"]) {
    [field(name).min, field(name).max] = greys.limits[name];
    field(name).value = greys[name];
  }
  byId("window-said").textContent = greys.inWords;
  if (greys.inWords) for (const name of ["level", "width"]) field(name).setAttribute("aria-valuetext", greys.inWords);
  const { values } = greys;
  for (const name of ["centre", "wide"]) {
    const value = values && values[name === "wide" ? "width" : "centre"];
    if (document.activeElement !== field(name)) field(name).value = values ? plain(value, greys.base.width) : "";
  }
  showPresets();
}

const presetsHere = () => presets({ own: active.greys.own, unit: active.greys.unit, range: active.element.dataset.depth && !active.greys.depth ? null : active.greys.range });

function showPresets() {
  const listed = presetsHere().map(({ name, centre, width, own }, at) => {
    const called = own ? `${t("The file’s own")}${name ? `: ${name}` : ""}` : NAMES[name];
    return `${at + 1} ${called}${centre === null ? "" : ` ${plain(centre, width)}/${plain(width, width)}`}`;
  });
  const select = field("preset");
  if (select.dataset.listed === listed.join("\n")) return;
  select.dataset.listed = listed.join("\n");
  select.replaceChildren(el("option", { value: "" }, t("Windows")), ...listed.map((text, at) => el("option", { value: at }, text)));
}

async function takePreset(at) {
  const stage = active;
  await stage.greys.deepen(); // shares of a range that is not known yet
  const found = presetsHere()[at];
  if (found) await setValues(stage, found.centre, found.width);
}

async function setValues(stage, centre, width) {
  const percent = await stage.greys.percentOf(centre, width);
  if (percent) setWindow(percent[0], Math.max(stage.greys.limits.width[0], percent[1]), stage);
}

/** Another frame of the file takes the image's place, with its own map and outlines where these are shown. */
document.addEventListener("frame", async ({ target, detail: { resolve, reject, ...addresses } }) => {
  const stage = stages.find(({ element }) => element.closest(".view") === target.closest(".view"));
  if (!stage) return reject(new Error("this image is not there any more"));
  try {
    await stage.replace(addresses);
    measuring.get(stage)?.step();
    showHeat();
    showOutlines();
    stage.greys.set(stage.greys.level, stage.greys.width, stage.greys.inverted);
    setTimeout(() => stage.frame === addresses.frame && stage.tellGeometry(), REST);
    resolve();
  } catch (error) {
    reject(error);
  }
});

let following = false;

/** Volumes beside the one that is gone through go with it. */
document.addEventListener("going", ({ detail: walk }) => {
  if (following || !linked) return;
  following = true;
  const one = { from: walk.before, to: walk.at, places: walk.places };
  for (const other of walksOf(document.querySelectorAll(".view .frames"))) {
    if (other !== walk) other.go(linkedSlice(one, { at: other.at, n: other.says.length, places: other.places }));
  }
  following = false;
});

/** Whether something is drawn over any of the images on this page. */
const isOn = (what) => stages.some((stage) => isDrawn(what, decisionOf(stage)));

function showHeat() {
  if (!button("heat")) return;
  button("heat").setAttribute("aria-pressed", isOn("heatmap"));
  field("opacity").value = heat.opacity;
  field("opacity").disabled = !isOn("heatmap");
  field("colours").value = heat.colours;
  stages.forEach((stage) => stage.paint({ ...heat, on: isDrawn("heatmap", decisionOf(stage)) }));
  remember("heatmap-strength", heat.opacity);
  remember("heatmap-colours", heat.colours);
}

function showOutlines() {
  if (!button("regions")) return;
  button("regions").setAttribute("aria-pressed", isOn("outlines"));
  stages.forEach((stage) => stage.outline(isDrawn("outlines", decisionOf(stage))));
}

/** On or off over all images of the page, remembered for answers of their kinds. */
function choose(what, on) {
  for (const stage of stages) remember(drawnKey(what, decisionOf(stage)), on ? "on" : "off");
}

function showTool(tool) {
  for (const name of ["ruler", "angle", "cobb"]) button(name)?.setAttribute("aria-pressed", tool === name);
}

const lie = (change) => together().forEach((stage) => stage.lieAs(change(stage.lie)));
const measure = (tool) => [...measuring.values()].forEach((one) => one.use(tool));

const acts = {
  in: () => active?.zoom(1.3),
  out: () => active?.zoom(1 / 1.3),
  actual: () => active?.zoom(1 / (active.view.scale * devicePixelRatio)),
  right: () => lie((now) => turned(now, 1)),
  left: () => lie((now) => turned(now, -1)),
  flip: () => lie(mirrored),
  upend: () => lie(upsideDown),
  ruler: () => measure("ruler"),
  angle: () => measure("angle"),
  cobb: () => measure("cobb"),
  reset() {
    for (const stage of together()) {
      stage.lie = UPRIGHT;
      stage.fit();
      stage.greys.set(50, 100, false);
    }
    button("invert").setAttribute("aria-pressed", "false");
    showWindow();
  },
  mode() {
    const on = button("mode").getAttribute("aria-pressed") !== "true";
    button("mode").setAttribute("aria-pressed", on);
    stages.forEach((stage) => {
      stage.windowing = on;
      stage.element.classList.toggle("windowing", on);
    });
  },
  invert() {
    const on = !active.greys.inverted;
    button("invert").setAttribute("aria-pressed", on);
    together().forEach(({ greys }) => greys.set(greys.level, greys.width, on));
  },
  heat() {
    choose("heatmap", !isOn("heatmap"));
    showHeat();
  },
  regions() {
    choose("outlines", !isOn("outlines"));
    showOutlines();
  },
};

function strengthen(key) {
  if (!button("heat")) return false;
  heat.opacity = Math.min(100, Math.max(5, heat.opacity + (key === "[" ? -10 : 10)));
  choose("heatmap", true);
  return showHeat();
}

const measuringHere = () => measuring.get(active);
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ARROWS = Object.keys(WAYS);
const nudge = (key, { shiftKey }) => measuringHere()?.nudge(...WAYS[key], shiftKey) ?? false;

/** An arrow moves the image, unless it is there as a whole and has frames to step through, or a chosen measurement. */
function pan(key, event) {
  if (nudge(key, event)) return true;
  const [x, y] = WAYS[key];
  if (active.fitted && (active.stack || (x && active.several))) return false;
  return active.pan(-PAN * x, -PAN * y);
}

if (tools) {
  tools.addEventListener("click", ({ target }) => acts[target.closest("[data-act]")?.dataset.act]?.());
  for (const name of ["level", "width"]) field(name).addEventListener("input", () => setWindow(Number(field("level").value), Number(field("width").value)));
  for (const name of ["centre", "wide"]) {
    field(name).addEventListener("change", () => field("wide").value > 0 && setValues(active, Number(field("centre").value), Number(field("wide").value)));
  }
  field("preset").addEventListener("change", () => {
    takePreset(Number(field("preset").value));
    field("preset").value = "";
  });
  field("opacity")?.addEventListener("input", () => {
    heat.opacity = Number(field("opacity").value);
    showHeat();
  });
  field("colours")?.addEventListener("change", () => {
    heat.colours = field("colours").value;
    showHeat();
  });
}
document.querySelectorAll(".stage").forEach(addStage);
showWindow();

/** Rows of keys of a page with images (see keys.js). */
export const viewerKeys = tools
  ? [
      [["+", "-"], t("Zoom in or out"), (key) => acts[key === "+" ? "in" : "out"]()],
      [["0"], t("Reset the view"), () => acts.reset()],
      [["r", "R"], t("Turn clockwise, or back"), (key) => acts[key === "r" ? "right" : "left"]()],
      [["f", "F"], t("Mirror left for right, or top for bottom"), (key) => acts[key === "f" ? "flip" : "upend"]()],
      [["w"], t("Drag sets the window instead of moving (as does the right button)"), () => acts.mode()],
      [["1", "2", "3", "4", "5", "6", "7", "8", "9"], t("Windows by name, in the order of their list"), (key) => void takePreset(Number(key) - 1)],
      [["i"], t("Invert"), () => acts.invert()],
      [["h"], t("Heat map on or off"), () => button("heat") && acts.heat()],
      ...(button("regions") ? [[["b"], t("Outlines on or off"), () => acts.regions()]] : []),
      ...(document.querySelector(".boxes-switch") ? [[["v"], t("Boxes on or off"), () => toggleBoxes()]] : []),
      [["[", "]"], t("Heat map weaker or stronger"), strengthen],
      [["c"], t("Ruler on or off"), () => acts.ruler()],
      [["g", "G"], t("Angle of three places, or Cobb angle of two lines, on or off"), (key) => acts[key === "g" ? "angle" : "cobb"]()],
      [["Delete"], t("Delete the chosen measurement, else the last"), () => measuringHere()?.delete() ?? false],
      [["Esc"], t("Put the ruler or angle away"), () => (measuringHere()?.tool ? measure(measuringHere().tool) : false)],
    ]
  : [];

if (tools) {
  addKeys(t("Image in focus"), [[ARROWS, t("Move the image, or the chosen measurement"), pan]], ({ target }) => Boolean(target.closest?.(".stage")));
  addKeys(
    t("Measurement in focus"),
    [
      [ARROWS, t("Move it by a pixel of the screen"), nudge],
      [ARROWS.map((key) => `Shift+${key}`), t("Move it by ten"), nudge],
      [["Enter"], t("The next part of it: the whole, then each end"), () => measuringHere().nextPart()],
      [["Delete", "Backspace"], t("Delete it"), () => measuringHere().delete()],
    ],
    ({ target }) => Boolean(target.closest?.(".measure-list .name")),
  );
}

