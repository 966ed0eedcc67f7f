// What a list does with rows that are newer than those it shows, while somebody points at it.

/**
 * { inPlace, added, gone, moves }: the ids of rows that have changed and stand where they stood, how many have come and
 * gone, and whether any would move by that.
 *
 * shown, fresh: [{ id, text }], rows in their order; the text is all that is seen of one.
 */
export function differences(shown, fresh) {
  const [before, after] = [new Map(shown.map(({ id, text }) => [id, text])), new Map(fresh.map(({ id, text }) => [id, text]))];
  const both = (rows, others) => rows.map(({ id }) => id).filter((id) => others.has(id));
  const [order, now] = [both(shown, after), both(fresh, before)];
  return {
    inPlace: order.filter((id) => before.get(id) !== after.get(id)),
    added: fresh.length - now.length,
    gone: shown.length - order.length,
    moves: order.some((id, at) => id !== now[at]),
  };
}

const SOON = 5_000; // milliseconds between two questions
const LATER = 15_000; // after something has changed: a busy list is not written anew all the time
const AWAKE = 30 * 60_000; // for which one asks without a person at the page: a session must be able to end

/**
 * Asks an address again and again whether anything has changed, while the page is looked at and somebody is there.
 *
 * ask(address): its JSON, { position, changed }; onChange(), onTrouble(failed): whether the server answers.
 */
export function watch(address, position, { ask, onChange, onTrouble }) {
  let known = position;
  let touched = Date.now();
  let waiting = null;
  const later = (wait) => {
    clearTimeout(waiting);
    waiting = setTimeout(look, wait);
  };
  async function look() {
    if (document.hidden || Date.now() - touched > AWAKE) return; // until somebody is there again
    try {
      const found = await ask(`${address}?since=${known}`);
      known = found.position;
      onTrouble(false);
      if (found.changed) onChange();
      later(found.changed ? LATER : SOON);
    } catch {
      onTrouble(true);
      later(LATER);
    }
  }
  for (const event of ["pointermove", "pointerdown", "keydown", "wheel"]) {
    addEventListener(event, () => {
      const slept = Date.now() - touched > AWAKE;
      touched = Date.now();
      if (slept) later(0);
    }, { passive: true });
  }
  document.addEventListener("visibilitychange", () => !document.hidden && later(0));
  later(SOON);
}
