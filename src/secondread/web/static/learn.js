// Keeps in this browser which pictures of the page that teaches were answered, and shows it.

import { bindPage, byId, remember, remembered, t } from "./page.js";

const KEY = "learnt"; // numbers with commas between
const learnt = () => new Set(remembered(KEY, "").split(",").filter(Boolean));

const lesson = byId("lesson");
if (lesson && "answered" in lesson.dataset) remember(KEY, [...learnt().add(lesson.dataset.number)].join(","));

if (byId("lessons")) {
  const done = learnt();
  const all = [...document.querySelectorAll("#lessons [data-number]")];
  for (const line of all) line.querySelector(".learnt").hidden = !done.has(line.dataset.number);
  byId("progress").hidden = done.size === 0;
  byId("progress").textContent = t("{n} of {all} done", { n: done.size, all: all.length });
}

bindPage([]);
