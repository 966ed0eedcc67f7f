// Single-key shortcuts, the list of them, and the switch that turns them off (WCAG 2.1.4).

import { byId, el, remember, remembered } from "./dom.js";
import { t } from "./words.js";

/** shortcuts: [[keys, what it does, act], …]; act gets the key. Active unless a field that takes the key has the focus. */
export function bind(shortcuts) {
  const help = byId("help");
  const on = byId("keys-on");
  on.checked = remembered("keys", "on") === "on";
  on.addEventListener("change", () => remember("keys", on.checked ? "on" : "off"));
  const list = [...shortcuts, [["?"], t("Show this list"), () => help.showModal()]];
  byId("shortcuts").append(...list.flatMap(([keys, what]) => [el("dt", {}, keys.map((key) => el("kbd", {}, key))), el("dd", {}, what)]));
  byId("keys").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || taken(event)) return;
    if (event.key !== "Escape" && !on.checked) return;
    const found = list.find(([keys]) => keys.some((key) => (key === "Esc" ? "Escape" : key) === event.key));
    if (found && found[2](event.key) !== false) event.preventDefault();
  });
}

function taken({ target, key }) {
  if (target.matches("select, textarea, input:not([type=range], [type=radio], [type=checkbox])")) return true;
  return key.startsWith("Arrow") && target.matches("input");
}
