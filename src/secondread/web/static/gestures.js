// What wheel, mouse and fingers do on a stage. Every drag has buttons or keys beside it.

const SWIPE = 9; // pixels of a finger's way for a slice
const LONG = 500; // milliseconds that a finger rests until it sets the window
const STILL = 8; // pixels that a resting finger may tremble

/** Listens to a stage. stage.fingers: those that are down, also while a tool takes what they do. */
export function listenTo(stage) {
  const { element } = stage;
  const fingers = (stage.fingers = new Map()); // pointer → { before, now, start }: [x, y] of the window
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (stage.stack && !event.ctrlKey && !event.metaKey) return turn(stage, event);
    const box = element.getBoundingClientRect();
    stage.zoom(1.0015 ** -event.deltaY, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let resting = null;
  const rest = (act, wait) => {
    clearTimeout(resting);
    resting = act && setTimeout(act, wait);
  };
  const down = ({ pointerId, clientX, clientY }) => fingers.set(pointerId, { before: [clientX, clientY], now: [clientX, clientY], start: [clientX, clientY] });
  const up = ({ pointerId }) => {
    fingers.delete(pointerId);
    rest(null);
    if (!fingers.size) stage.hold(false);
  };
  // Before any tool takes the event: a second finger always zooms.
  element.addEventListener("pointerdown", down, { capture: true });
  element.addEventListener("pointermove", ({ pointerId, clientX, clientY }) => {
    const finger = fingers.get(pointerId);
    if (finger) Object.assign(finger, { before: finger.now, now: [clientX, clientY] });
  }, { capture: true });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, up, { capture: true });

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && fingers.size === 1) rest(() => stage.hold(true), LONG);
    else rest(null);
  });
  element.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [dx, dy] = [finger.now[0] - finger.before[0], finger.now[1] - finger.before[1]];
    if (Math.hypot(finger.now[0] - finger.start[0], finger.now[1] - finger.start[1]) > STILL) rest(null);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) pinch(stage, finger, other);
    else if (stage.windowing || stage.held || event.buttons === 2) stage.dragWindow(dx, dy);
    else if (stage.stack && stage.fitted && event.pointerType === "touch") swipe(stage, dy);
    else stage.pan(dx, dy);
  });
  element.addEventListener("contextmenu", (event) => event.preventDefault()); // the right button drags the window
  element.addEventListener("dblclick", () => {
    stage.fit();
    stage.onMove(stage);
  });
}

/** Tells frames.js to go on through the volume: by a turn of the wheel, or by so many slices. */
function turn({ element }, { deltaY, deltaMode, shiftKey, steps }) {
  element.dispatchEvent(new CustomEvent("turn", { bubbles: true, detail: { deltaY, deltaMode, shiftKey, steps } }));
}

/** A finger that moves over an image that is there as a whole goes through the volume, up to the head. */
function swipe(stage, dy) {
  stage.swiped = (stage.swiped ?? 0) - dy;
  const steps = Math.trunc(stage.swiped / SWIPE);
  if (!steps) return;
  stage.swiped -= steps * SWIPE;
  turn(stage, { steps });
}

/** Two fingers move the image with them and zoom around the place between them. */
function pinch(stage, { before, now }, { now: other }) {
  const box = stage.element.getBoundingClientRect();
  const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
  stage.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  if (apart(before) > 5) stage.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
}
