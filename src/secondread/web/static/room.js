// One reading, or two beside each other: the viewer's tools, the keyboard, removing with undo.

import { ask, bindPage, byId, drawnKey, isDrawn, remember, remembered, t, toast } from "./page.js";
import { drawBoxes, toggleBoxes } from "./boxes.js";
import { Drawing } from "./draw.js";
import { stepKeys } from "./frames.js";
import { Stage } from "./stage.js";

const tools = document.querySelector(".viewer-tools");
const field = (name) => tools?.querySelector(`[data-set="${name}"]`);
const button = (name) => tools?.querySelector(`[data-act="${name}"]`);
const heat = { opacity: Number(remembered("heatmap-strength", "55")), colours: remembered("heatmap-colours", "inferno") };
let inverted = false;
let undo = null;

const stages = [...document.querySelectorAll(".stage")].map(
  (element) =>
    new Stage(element, {
      onMove: (view) => stages.forEach((other) => other.element !== element && other.place(view)),
      onWindow: setWindow,
      onDepth: deepened,
    }),
);

function setWindow(level, width) {
  field("level").value = level;
  field("width").value = width;
  stages.forEach((stage) => stage.setWindow(level, width, inverted));
  const said = stages.find((stage) => stage.depth)?.windowInWords ?? "";
  byId("window-said").textContent = said;
  if (said) for (const name of ["level", "width"]) field(name).setAttribute("aria-valuetext", said);
}

/** A file of more than 8 bits lets the sliders go beyond what it first shows. */
function deepened(stage) {
  for (const name of ["level", "width"]) [field(name).min, field(name).max] = stage.limits[name];
  setWindow(stage.level, stage.width);
}

function setWindowFromFields() {
  setWindow(Number(field("level").value), Number(field("width").value));
}

const decisionOf = (stage) => stage.element.dataset.decision;

/** Another frame of the file takes the image's place, with its own map and outlines where these are shown. */
document.addEventListener("frame", async ({ detail: { resolve, reject, ...addresses } }) => {
  try {
    await stages[0].replace(addresses);
    showHeat();
    showOutlines();
    if (stages[0].image.style.filter) setWindowFromFields();
    resolve();
  } catch (error) {
    reject(error);
  }
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

function press(name) {
  const pressed = button(name).getAttribute("aria-pressed") !== "true";
  button(name).setAttribute("aria-pressed", pressed);
  return pressed;
}

const acts = {
  in: () => stages[0]?.zoom(1.3),
  out: () => stages[0]?.zoom(1 / 1.3),
  actual: () => stages[0]?.zoom(1 / (stages[0].view.scale * devicePixelRatio)),
  reset() {
    inverted = false;
    button("invert").setAttribute("aria-pressed", "false");
    setWindow(50, 100);
    stages.forEach((stage) => stage.fit());
  },
  mode() {
    const on = press("mode");
    stages.forEach((stage) => {
      stage.windowing = on;
      stage.element.classList.toggle("windowing", on);
    });
  },
  invert() {
    inverted = press("invert");
    setWindowFromFields();
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

function nudge(key) {
  if (!button("heat")) return;
  heat.opacity = Math.min(100, Math.max(5, heat.opacity + (key === "[" ? -10 : 10)));
  choose("heatmap", true);
  showHeat();
}

if (tools) {
  tools.addEventListener("click", ({ target }) => acts[target.closest("[data-act]")?.dataset.act]?.());
  for (const name of ["level", "width"]) field(name).addEventListener("input", setWindowFromFields);
  field("opacity")?.addEventListener("input", () => {
    heat.opacity = Number(field("opacity").value);
    showHeat();
  });
  field("colours")?.addEventListener("change", () => {
    heat.colours = field("colours").value;
    showHeat();
  });
  stages.forEach((stage) => stage.fit());
  showHeat();
  showOutlines();
}
stages.forEach((stage) => drawBoxes(stage.element));
const drawing = byId("boxes") && stages.length === 1 ? new Drawing(stages[0], byId("boxes")) : null;

/** The radio button of that key in the form of the opinion. */
function answerBy(key) {
  const radio = document.querySelector(`#review input[data-key="${key}"]`);
  if (!radio) return false;
  radio.checked = true;
  radio.focus();
  return true;
}

byId("remove")?.addEventListener("click", async () => {
  const { id } = byId("remove").dataset;
  try {
    await ask(`/api/v1/readings/${id}`, { method: "DELETE" });
    undo = async () => {
      undo = null;
      await ask(`/api/v1/readings/${id}/restore`, { method: "POST" });
      byId("remove").disabled = false;
      toast(t("Brought back"));
    };
    byId("remove").disabled = true;
    toast(t("Removed from the worklist"), undo);
  } catch (error) {
    toast(error.message);
  }
});

byId("note")?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") byId("note").blur(); // the keys of the page work again
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("review").requestSubmit(byId("review").querySelector("button.primary"));
});

const viewerKeys = tools
  ? [
      [["+", "-"], t("Zoom in or out"), (key) => acts[key === "+" ? "in" : "out"]()],
      [["0"], t("Reset the view"), () => acts.reset()],
      [["w"], t("Drag sets the window instead of moving (as does the right button)"), () => acts.mode()],
      [["i"], t("Invert"), () => acts.invert()],
      ...(document.querySelector(".frames") ? stepKeys : []),
      [["h"], t("Heat map on or off"), () => button("heat") && acts.heat()],
      ...(button("regions") ? [[["b"], t("Outlines on or off"), () => acts.regions()]] : []),
      ...(document.querySelector(".boxes-switch") ? [[["v"], t("Boxes on or off"), () => toggleBoxes()]] : []),
      ...(drawing ? [[["e"], t("Draw boxes: Delete and the arrow keys change the one in focus"), () => drawing.edit()]] : []),
      [["[", "]"], t("Heat map weaker or stronger"), nudge],
    ]
  : [];
const reviewKeys = byId("review")
  ? [
      [["a", "d", "n"], t("Agree (or disease), disagree (or none), unsure"), answerBy],
      [["m"], t("Write a note: Esc leaves it, Ctrl+Enter saves"), () => byId("note").focus()],
      [["s"], t("Save the opinion"), () => byId("review").requestSubmit(byId("review").querySelector("button.primary"))],
      [["S"], t("Save and go to the next reading"), () => byId("save-next") && byId("review").requestSubmit(byId("save-next"))],
    ]
  : [];
bindPage([
  ...(byId("before") || byId("after") ? [[["j", "k"], t("Next or previous reading"), (key) => byId(key === "j" ? "after" : "before")?.click()]] : []),
  ...viewerKeys,
  ...reviewKeys,
  [["l"], t("Back to the list"), () => byId("list")?.click()],
  [["u"], t("Undo"), () => undo?.()],
]);
