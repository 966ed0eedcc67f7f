// How an image lies on its stage: turned by quarters, mirrored, scaled, moved; and the letters that then stand at its sides.

/** As the file shows it. turn: quarters clockwise, 0 to 3; mirrored: left for right as it is seen, after the turn. */
export const UPRIGHT = { turn: 0, mirrored: false };

const quarter = (turn) => ((turn % 4) + 4) % 4;

/** A quarter more, clockwise (1) or back (-1), as it is seen: a mirrored image turns the other way round in itself. */
export const turned = ({ turn, mirrored }, by) => ({ turn: quarter(turn + (mirrored ? -by : by)), mirrored });

/** Left for right, as it is seen. */
export const mirrored = (lie) => ({ turn: lie.turn, mirrored: !lie.mirrored });

/** Top for bottom, as it is seen. */
export const upsideDown = (lie) => ({ turn: quarter(lie.turn + 2), mirrored: !lie.mirrored });

export const isUpright = ({ turn, mirrored: flipped }) => turn === 0 && !flipped;

/** Width and height that the image takes as it lies. */
export const extent = ({ width, height }, { turn }) => (turn % 2 ? { width: height, height: width } : { width, height });

/**
 * [a, b, c, d, e, f] of CSS: a place (u, v) of the image is seen at (a u + c v + e, b u + d v + f) of the stage.
 *
 * view: { scale, x, y } of the corner at the upper left of what is seen.
 */
export function matrixOf({ scale, x, y }, lie, size) {
  const { width, height } = size;
  const [a, b, c, d, e, f] = [
    [1, 0, 0, 1, 0, 0],
    [0, 1, -1, 0, height, 0],
    [-1, 0, 0, -1, width, height],
    [0, -1, 1, 0, 0, width],
  ][lie.turn];
  const across = extent(size, lie).width;
  const seen = lie.mirrored ? [-a, b, -c, d, across - e, f] : [a, b, c, d, e, f];
  return [...seen.slice(0, 4).map((part) => part * scale), scale * seen[4] + x, scale * seen[5] + y];
}

/** Where a place of the image is seen. */
export const toStage = ([a, b, c, d, e, f], [u, v]) => [a * u + c * v + e, b * u + d * v + f];

/** Which place of the image is seen there. */
export function toImage([a, b, c, d, e, f], [x, y]) {
  const area = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / area, (a * (y - f) - b * (x - e)) / area];
}

/** A way over the stage as a way in the image. */
export function wayInImage([a, b, c, d], [dx, dy]) {
  const area = a * d - b * c;
  return [(d * dx - c * dy) / area, (a * dy - b * dx) / area];
}

/** [left, right, top, bottom] as they are seen, of those of the image as the file shows it. */
export function lettersSeen([left, right, top, bottom], { turn, mirrored: flipped }) {
  const round = [top, right, bottom, left]; // clockwise
  const [up, west, down, east] = [0, 3, 2, 1].map((side) => round[quarter(side - turn)]);
  return flipped ? [east, west, up, down] : [west, east, up, down];
}
