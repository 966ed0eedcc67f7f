// Windows by name: of a kind of image, of the file itself; in the file's own values, as centre and width.

// In Hounsfield units, as they are used in emergency radiology (brain, subdural, stroke, bone, soft tissue, lung, abdomen).
const CT = [
  ["Brain", 40, 80],
  ["Subdural", 75, 215],
  ["Stroke", 35, 30],
  ["Bone", 600, 2800],
  ["Soft tissue", 50, 400],
  ["Lung", -600, 1500],
  ["Abdomen", 40, 350],
];
// Shares of the range from black to white: [name, from, to]. Magnetic resonance and films have no values that mean the same everywhere.
const SHARES = [
  ["Whole range", 0, 1],
  ["Dark half", 0, 0.5],
  ["Bright half", 0.5, 1],
  ["Middle half", 0.25, 0.75],
];
export const MOST = 9; // keys 1 to 9

/**
 * [{ name, centre, width, own }], at most MOST: first the file's own, then those of its kind.
 *
 * own: [{ centre, width, name }] of the file; unit: 'HU' or another; range: [lowest, highest] value, null until it is
 * known: then shares of it have no numbers yet.
 */
export function presets({ own, unit, range }) {
  const first = own.map(({ centre, width, name }) => ({ name, centre, width, own: true }));
  const shares = SHARES.map(([name, from, to]) => {
    const whole = range && range[1] - range[0];
    return { name, centre: range && range[0] + ((from + to) / 2) * whole, width: range && (to - from) * whole, own: false };
  });
  const known = CT.map(([name, centre, width]) => ({ name, centre, width, own: false }));
  const kind = unit === "HU" ? [...known, shares[0]] : shares;
  return [...first.slice(0, Math.max(1, MOST - kind.length)), ...kind].slice(0, MOST);
}

/** As it is written: whole numbers, or three digits where all values are small. */
export const plain = (value, width) => (Math.abs(width) < 10 ? Number(value.toPrecision(3)) : Math.round(value));
