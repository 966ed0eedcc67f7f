// Keys: a page has one table of them, which binds what it lists, so that none works without being told.

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page Up", PageDown: "Page Down", Escape: "Esc" };
const tables = []; // { title, rows, where }: those of what has the focus first

/**
 * Adds a table: [[keys, what it does, act], …]; act gets the key, and its event; what gives false lets it pass on to other tables.
 *
 * A key is written as its event has it, with Shift+ or Ctrl+ before where both are held: "a", "S", "ArrowUp", "Ctrl+Enter".
 * where(event): of which keys it is asked; without it of those of the whole page, unless something is being typed.
 */
export function addKeys(title, rows, where = null) {
  const table = { title, rows, where };
  if (where) tables.unshift(table);
  else tables.push(table);
}

/** Whether an event is that key. A letter says by itself whether Shift is held. */
export function isKey(written, { key, shiftKey, ctrlKey, metaKey, altKey }) {
  const parts = partsOf(written);
  const wanted = parts.pop();
  const name = wanted === "Esc" ? "Escape" : wanted;
  const shift = name.length > 1 ? parts.includes("Shift") : shiftKey;
  return key === name && shiftKey === shift && (ctrlKey || metaKey) === parts.includes("Ctrl") && !altKey;
}

/** Acts on the first table that takes the key. single: whether keys of the whole page are on. */
export function pressed(event, single) {
  for (const { rows, where } of tables) {
    if (where ? !where(event) : typed(event) || !(single || event.key === "Escape")) continue;
    const found = rows.find(([keys]) => keys.some((key) => isKey(key, event)));
    if (!found || found[2](event.key, event) === false) continue;
    event.preventDefault();
    return;
  }
}

function typed({ target, key }) {
  if (target.matches("select, textarea, input:not([type=range], [type=radio], [type=checkbox])")) return true;
  return key.startsWith("Arrow") && target.matches("input");
}

/** The sheet of all keys, those of the page first. el: what makes elements (see page.js). */
export function sheetOfKeys(el) {
  const drawnKey = (key) => {
    const parts = partsOf(key).map((part) => el("kbd", {}, NAMES[part] ?? part));
    return el("span", {}, parts.flatMap((part, at) => [at ? "+" : null, part]));
  };
  const listed = [...tables.filter(({ where }) => !where), ...tables.filter(({ where }) => where).reverse()].filter(({ rows }) => rows.length);
  return listed.map(({ title, rows }) => el("section", {}, el("h3", {}, title), el("dl", { class: "shortcuts" }, rows.flatMap(([keys, what]) => [el("dt", {}, keys.map(drawnKey)), el("dd", {}, what)]))));
}

/** A key as it is written: "Shift+ArrowUp" in its two parts, "+" in its one. */
const partsOf = (key) => (key.length > 1 ? key.split("+") : [key]);
