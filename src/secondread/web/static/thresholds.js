// The explorer: a slider through the rows of the table, its numbers beside it, a line in the chart.

import { bindPage, byId } from "./page.js";

const explorer = byId("explorer");

if (explorer) {
  const rows = [...byId("rows").tBodies[0].rows];
  const line = explorer.querySelector(".figure-chart .upright.chosen");
  const score = (threshold) => String(Number((100 * threshold).toPrecision(4))); // as the table writes it
  const [left, right] = [Number(line.dataset.left), Number(line.dataset.right)];

  const show = () => {
    const row = rows[Number(byId("at").value)];
    const { threshold } = row.dataset;
    rows.forEach((other) => other.classList.toggle("at", other === row));
    const text = score(threshold);
    byId("at-value").textContent = text;
    byId("at").setAttribute("aria-valuetext", text);
    for (const cell of row.querySelectorAll("[data-key]")) byId("tiles").querySelector(`[data-key="${cell.dataset.key}"]`).textContent = cell.textContent;
    line.setAttribute("transform", `translate(${Number(threshold) * (right - left) - offset} 0)`);
    if (byId("threshold")) byId("threshold").value = Number((100 * threshold).toFixed(8));
  };

  // The line is drawn where it decides now; it moves from there.
  const now = Number(explorer.dataset.now);
  const offset = now * (right - left);
  const nearest = rows.reduce((best, row, at) => (Math.abs(row.dataset.threshold - now) < Math.abs(rows[best].dataset.threshold - now) ? at : best), 0);
  byId("at").value = nearest;
  show();
  byId("at").addEventListener("input", show);
  byId("rows").addEventListener("click", ({ target }) => {
    const at = rows.indexOf(target.closest("tr"));
    if (at < 0) return;
    byId("at").value = at;
    show();
  });
}

bindPage([]);
