// Lengths and angles on an image: what they come to, and what lies near a place. Places are [x, y] in pixels of the image.

/** How many places each kind takes. */
export const PLACES = { ruler: 2, angle: 3, cobb: 4 };

const scaled = ([x, y], spacing) => [x * (spacing?.[1] ?? 1), y * (spacing?.[0] ?? 1)];
const between = ([x0, y0], [x1, y1], spacing) => scaled([x1 - x0, y1 - y0], spacing);

/** In millimetres where spacing, [between rows, between columns], is known; else in pixels. */
export const lengthOf = ([from, to], spacing) => Math.hypot(...between(from, to, spacing));

/** Degrees at the second of three places, 0 to 180. */
export function angleOf([one, corner, other], spacing) {
  return degrees(between(corner, one, spacing), between(corner, other, spacing));
}

/** Degrees between two lines, 0 to 90 (Cobb 1948): whichever way each was drawn. */
export function cobbOf([a, b, c, d], spacing) {
  const found = degrees(between(a, b, spacing), between(c, d, spacing));
  return Math.min(found, 180 - found);
}

function degrees([x0, y0], [x1, y1]) {
  return (180 / Math.PI) * Math.abs(Math.atan2(x0 * y1 - y0 * x1, x0 * x1 + y0 * y1));
}

/** { value, unit } of a measurement: 'mm', 'px' or '°'. */
export function valueOf({ kind, places }, spacing) {
  if (kind === "ruler") return { value: lengthOf(places, spacing), unit: spacing ? "mm" : "px" };
  return { value: kind === "angle" ? angleOf(places, spacing) : cobbOf(places, spacing), unit: "°" };
}

/** As it is written: what a pixel can tell, and no more. */
export function written({ value, unit }) {
  if (unit === "°") return `${value.toFixed(1)}°`;
  return `${unit === "mm" ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** The lines that are drawn of these places, as far as they are set. */
export function linesOf({ kind, places }) {
  const pairs = kind === "cobb" ? [[0, 1], [2, 3]] : [[0, 1], [1, 2]];
  return pairs.filter(([, to]) => places[to]).map(([from, to]) => [places[from], places[to]]);
}

/** Where its value is written: beside the last line. */
export function middleOf(measure) {
  const lines = linesOf(measure);
  const [from, to] = lines[measure.kind === "angle" ? 0 : lines.length - 1] ?? [measure.places[0], measure.places[0]];
  return measure.kind === "angle" && lines.length > 1 ? measure.places[1] : [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
}

const far = ([x0, y0], [x1, y1]) => Math.hypot(x1 - x0, y1 - y0);

function farFromLine(place, [from, to]) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const along = ((place[0] - from[0]) * dx + (place[1] - from[1]) * dy) / (dx * dx + dy * dy || 1);
  const near = Math.min(1, Math.max(0, along));
  return far(place, [from[0] + near * dx, from[1] + near * dy]);
}

/**
 * What of these measurements lies within so many pixels of a place: { at, end }, end -1 for a line between its ends.
 *
 * An end goes before a line, and the nearest before others; null where there is nothing.
 */
export function nearest(measures, place, reach) {
  const found = [];
  measures.forEach((measure, at) => {
    measure.places.forEach((one, end) => found.push({ at, end, far: far(one, place) }));
    for (const line of linesOf(measure)) found.push({ at, end: -1, far: farFromLine(place, line) });
  });
  const near = found.filter((one) => one.far <= reach).sort((one, other) => (one.end < 0) - (other.end < 0) || one.far - other.far)[0];
  return near ? { at: near.at, end: near.end } : null;
}

/** The same moved: one end of it, or all of it (end -1), inside the image as far as that goes. */
export function moved(measure, end, [dx, dy], { width, height }) {
  const inside = (value, most) => Math.min(most, Math.max(0, value));
  if (end >= 0) {
    const places = measure.places.map(([x, y], one) => (one === end ? [inside(x + dx, width), inside(y + dy, height)] : [x, y]));
    return { ...measure, places };
  }
  const [xs, ys] = [measure.places.map(([x]) => x), measure.places.map(([, y]) => y)];
  const by = [
    Math.min(width - Math.max(...xs), Math.max(-Math.min(...xs), dx)),
    Math.min(height - Math.max(...ys), Math.max(-Math.min(...ys), dy)),
  ];
  return { ...measure, places: measure.places.map(([x, y]) => [x + by[0], y + by[1]]) };
}

/** Places of a new one in the middle of an image, for whoever does not draw. */
export function inTheMiddle(kind, { width, height }) {
  const at = (x, y) => [width * x, height * y];
  return { ruler: [at(0.35, 0.5), at(0.65, 0.5)], angle: [at(0.35, 0.4), at(0.5, 0.6), at(0.65, 0.4)], cobb: [at(0.35, 0.4), at(0.65, 0.35), at(0.35, 0.6), at(0.65, 0.65)] }[kind];
}
