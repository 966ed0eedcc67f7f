// How one image follows another beside it.

/**
 * The slice that another volume shows when one goes from a slice to the next: as many millimetres on where both say
 * where their slices lie, else as many slices.
 *
 * one: { from, to, places }; other: { at, n, places }; slices from 1, places in mm along the normal or null.
 */
export function linkedSlice(one, other) {
  const inside = (at) => Math.min(other.n, Math.max(1, at));
  if (!one.places || !other.places) return inside(other.at + one.to - one.from);
  const wanted = other.places[other.at - 1] + one.places[one.to - 1] - one.places[one.from - 1];
  const far = other.places.map((place) => Math.abs(place - wanted));
  return 1 + far.indexOf(Math.min(...far));
}

/** [level, width] in percent that another image's window takes: the same values where both are in one unit, else the same share. */
export function linkedWindow(one, other) {
  const [from, to] = [one.values, other.base];
  if (!one.depth || !other.depth || !from.unit || from.unit !== other.depth.unit) return [one.level, one.width];
  return [50 + (100 * (from.centre - to.centre)) / to.width, (100 * from.width) / to.width];
}
