// What is laid over an image: the heat map in its colours, and outlines with their numbers.

import { svg, t } from "./page.js";

// Perceptually uniform colour maps (matplotlib's, CC0): equal steps of the map look equal. 17 colours each, blended between.
const MAPS = {
  inferno: "0000040b0724210c4a3d096557106e71196e8a226aa32c61bc3754d24644e45a31f1731df98e09fcac11f9cb35f2ea69fcffa4",
  viridis: "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis: "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  magma: "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf",
};

/** The strengths of a map, 0 to 255, drawn on a canvas of its size: opaque where they are high. */
export function paintHeat(canvas, strength, colours) {
  const table = tableOf(colours);
  const drawn = canvas.getContext("2d");
  const pixels = drawn.createImageData(canvas.width, canvas.height);
  strength.forEach((level, at) => {
    for (let part = 0; part < 3; part += 1) pixels.data[4 * at + part] = table[3 * level + part];
    pixels.data[4 * at + 3] = level;
  });
  drawn.putImageData(pixels, 0, 0);
}

/** The strengths of the map at this address, whose size the canvas gets: Uint8Array. Rejects where it cannot be fetched. */
export async function strengthsAt(address, canvas) {
  const source = new Image();
  source.src = address;
  await source.decode();
  Object.assign(canvas, { width: source.naturalWidth, height: source.naturalHeight });
  const drawn = canvas.getContext("2d", { willReadFrequently: true });
  drawn.drawImage(source, 0, 0);
  const { data } = drawn.getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
}

/** An outline twice, dark under bright, so that it shows on any image; and its number. */
export function drawnOutline({ outline, box, peak }, number, { width, height }) {
  const points = outline.map((corner) => corner.join(",")).join(" ");
  const size = Math.max(width, height) / 32;
  const label = svg("text", { x: box[0], y: Math.max(size, box[1] - size / 3), "font-size": size });
  label.textContent = `${number}`;
  const title = svg("title", {});
  title.textContent = t("Place {n}: strength {share} of 100", { n: number, share: Math.round(100 * peak) });
  const lines = ["under", "over"].map((name) => svg("polygon", { points, class: name }));
  lines[1].append(title);
  return [...lines, label];
}

/** Red, green and blue for each of 256 strengths: Uint8Array(768). */
function tableOf(name) {
  const stops = (MAPS[name] ?? MAPS.inferno).match(/../g).map((pair) => parseInt(pair, 16));
  const last = stops.length / 3 - 1;
  const table = new Uint8Array(768);
  for (let level = 0; level < 256; level += 1) {
    const place = (level / 255) * last;
    const below = Math.min(Math.floor(place), last - 1);
    for (let part = 0; part < 3; part += 1) {
      const [from, to] = [stops[3 * below + part], stops[3 * below + 3 + part]];
      table[3 * level + part] = Math.round(from + (to - from) * (place - below));
    }
  }
  return table;
}
