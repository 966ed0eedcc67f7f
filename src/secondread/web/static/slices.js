// Pictures of the frames of a file in the page's own memory: each is fetched once, and those that come next beforehand.

const MOST = 64e6; // bytes of all of them; the one that was looked at longest ago goes first
const TOGETHER = 3; // fetched at once beforehand: the one that is looked at never waits for many
const held = new Map(); // address → { url, size }, in the order in which they were looked at
const coming = new Map(); // address → what it will be
let wanted = []; // addresses that may be looked at next, the likeliest first
let fetching = 0;
let size = 0;

/** An address of this picture in the page's own memory. Throws where it cannot be fetched. */
export async function pictureAt(address) {
  const found = held.get(address);
  if (found) {
    held.delete(address);
    held.set(address, found);
    return found.url;
  }
  if (!coming.has(address)) coming.set(address, fetched(address).finally(() => coming.delete(address)));
  return coming.get(address);
}

/** Fetches these when nothing else is to be done, and forgets what was wanted before. */
export function fetchAhead(addresses) {
  wanted = addresses.filter((address) => !held.has(address) && !coming.has(address));
  while (fetching < TOGETHER && wanted.length) next();
}

async function next() {
  fetching += 1;
  try {
    await pictureAt(wanted.shift());
  } catch {
    wanted = []; // the server has other things to do, or is away
  }
  fetching -= 1;
  if (wanted.length) next();
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${response.status}`);
  const blob = await response.blob();
  const url = URL.createObjectURL(blob);
  held.set(address, { url, size: blob.size });
  size += blob.size;
  for (const [oldest, one] of held) {
    if (size <= MOST || oldest === address) break;
    held.delete(oldest);
    size -= one.size;
    URL.revokeObjectURL(one.url); // what shows it already goes on showing it
  }
  return url;
}

const NOTCH = 40; // pixels of a wheel or a touch pad for one slice
const MOST_A_TURN = 3; // slices: a wheel that runs free does not run through the body
let turned = 0;

/** How many slices a turn of the wheel goes on: one for each notch of a mouse, and smoothly on a touch pad. */
export function slicesOf({ deltaY, deltaMode, shiftKey }) {
  const pixels = deltaY * [1, 33, 300][deltaMode];
  if (Math.sign(pixels) !== Math.sign(turned)) turned = 0;
  turned += pixels;
  const steps = Math.abs(pixels) >= 2 * NOTCH ? Math.sign(pixels) : Math.trunc(turned / NOTCH);
  if (steps) turned = 0;
  return Math.max(-MOST_A_TURN, Math.min(MOST_A_TURN, steps)) * (shiftKey ? 5 : 1);
}
