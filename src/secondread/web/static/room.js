// One reading, or two beside each other: the keyboard, the opinion, removing with undo. The images are viewer.js's.

import { Drawing } from "./draw.js";
import { stackKeys, stepKeys } from "./frames.js";
import { hangingKeys } from "./hanging.js";
import { addKeys } from "./keys.js";
import { ask, bindPage, byId, t, toast } from "./page.js";
import { stages, viewerKeys } from "./viewer.js";

const drawing = byId("boxes") && stages.length ? new Drawing(stages[0], byId("boxes")) : null;
let undo = null;

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

const save = () => byId("review").requestSubmit(byId("review").querySelector("button.primary"));
const several = document.querySelector(".frames") || hangingKeys.length;
const reviewKeys = byId("review")
  ? [
      [["a", "d", "n"], t("Agree (or disease), disagree (or none), unsure"), answerBy],
      [["m"], t("Write a note"), () => byId("note").focus()],
      [["s"], t("Save the opinion"), save],
      [["S"], t("Save and go to the next reading"), () => byId("save-next") && byId("review").requestSubmit(byId("save-next"))],
    ]
  : [];

if (several) {
  const inStack = ({ target }) => Boolean(target.closest?.(".stage, .frame-plot")?.closest(".view")?.querySelector(".frames[data-stack]"));
  addKeys(t("Volume in focus"), stackKeys, inStack);
}
if (byId("note")) {
  const noteKeys = [
    [["Esc"], t("Leave the note: the keys of the page work again"), () => byId("note").blur()],
    [["Ctrl+Enter"], t("Save from the note"), save],
  ];
  addKeys(t("Note in focus"), noteKeys, ({ target }) => target === byId("note"));
}
bindPage([
  ...(byId("before") || byId("after") ? [[["j", "k"], t("Next or previous reading"), (key) => byId(key === "j" ? "after" : "before")?.click()]] : []),
  ...viewerKeys,
  ...(several ? stepKeys : []),
  ...hangingKeys,
  ...(drawing ? [[["e"], t("Draw boxes, or no more"), () => drawing.edit()]] : []),
  ...reviewKeys,
  [["l"], t("Back to the list"), () => byId("list")?.click()],
  [["u"], t("Undo"), () => undo?.()],
]);
