// Builds elements; text is always set as text, so nothing that a file is called can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: el("p", { class: "quiet", onclick: f }, "text", child, null, …). */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the symbols that the page carries. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const byId = (id) => document.getElementById(id);

let spoken = 0;

/** Says a sentence to a screen reader. */
export function announce(sentence) {
  spoken += 1;
  // A no-break space now and then: the same sentence twice would not be said again.
  byId("live").textContent = sentence + (spoken % 2 ? "\u00a0" : "");
}

/** A value kept in this browser, or the fallback. */
export function remembered(key, fallback) {
  try {
    return localStorage.getItem(key) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keeps a value in this browser where that is allowed. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Private windows may forbid it; nothing depends on it.
  }
}

/** A share in percent; never rounded to certainty. */
export function percent(share) {
  if (share < 0.0005 && share > 0) return "< 0.1 %";
  if (share >= 0.9995 && share < 1) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}
