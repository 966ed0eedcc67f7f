// Perceptually uniform colour maps (matplotlib's, CC0): equal steps of the map look equal. 17 colours each, blended between.

const MAPS = {
  inferno: "0000040b0724210c4a3d096557106e71196e8a226aa32c61bc3754d24644e45a31f1731df98e09fcac11f9cb35f2ea69fcffa4",
  viridis: "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis: "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  magma: "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf",
};

/** Red, green and blue for each of 256 strengths: Uint8Array(768). */
export function tableOf(name) {
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
