// The report is one page of A4 whatever is on it: pictures give way first, then letters, before it is printed or shown.

import { byId } from "./page.js";

const MILLIMETRE = 96 / 25.4; // pixels of CSS
const ROOM = (297 - 2 * 14 - 1) * MILLIMETRE; // between the margins of the page
const PICTURES = [78, 70, 62, 54, 46, 38]; // mm
const LETTERS = [9, 8.5, 8, 7.5, 7, 6.5, 6, 5.5, 5, 4.5, 4]; // pt
const main = document.querySelector("main");
const wide = matchMedia("(min-width: 50rem)");

/** The first size at which all of it fits, the last where none does. */
function fit() {
  const style = document.body.style;
  const fits = () => main.scrollHeight <= ROOM;
  style.setProperty("--type", `${LETTERS[0]}pt`);
  for (const height of PICTURES) {
    style.setProperty("--picture", `${height}mm`);
    if (fits()) return;
  }
  for (const size of LETTERS) {
    style.setProperty("--type", `${size}pt`);
    if (fits()) return;
  }
}

function layOut(onPaper) {
  document.body.classList.toggle("paper", onPaper);
  if (onPaper) fit();
}

await Promise.all([document.fonts.ready, ...[...document.images].map((image) => image.decode().catch(() => {}))]);
layOut(wide.matches);
document.body.classList.add("laid-out");
wide.addEventListener("change", () => layOut(wide.matches));
addEventListener("beforeprint", () => layOut(true));
addEventListener("afterprint", () => layOut(wide.matches));
byId("print").addEventListener("click", () => print());
