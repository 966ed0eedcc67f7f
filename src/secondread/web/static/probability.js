// The probability as a bar, with the operating point marked on it.

import { el, percent } from "./dom.js";
import { t } from "./words.js";

/** The bar for an entry that was read. */
export function probabilityBar({ probability, operating_point: point, decision, display }) {
  const { threshold, band } = display;
  const bar = el("div", { class: `probability ${decision}`, role: "img", "aria-label": inWords(probability, point, display) });
  const track = el("div", { class: "track" });
  bar.style.setProperty("--p", probability);
  track.append(el("i", { class: "fill" }));
  if (band) {
    track.append(el("i", { class: "band" }));
    bar.style.setProperty("--low", band[0]);
    bar.style.setProperty("--high", band[1]);
  }
  bar.append(track);
  if (threshold !== null) {
    bar.style.setProperty("--t", threshold);
    track.append(el("i", { class: "tick" }));
    bar.append(el("div", { class: "tick-name" }, el("span", {}, `${point} `, el("b", {}, (band ?? [threshold]).map((at) => at.toFixed(3)).join("–")))));
  }
  return bar;
}

function inWords(probability, point, { threshold, band }) {
  const mark = threshold === null ? "" : `; ${t("positive above the operating point {point} at {share}", { point, share: percent(threshold) })}`;
  const unsure = band ? `; ${t("uncertain between {low} and {high}", { low: percent(band[0]), high: percent(band[1]) })}` : "";
  return `${t("Probability {share}", { share: percent(probability) })}${mark}${unsure}`;
}
