// The way of files to the server, the same for reading at once and for uploads: taken in, waiting in order, sent.

import { byId } from "./page.js";

const CLUTTER = /^(\..*|Thumbs\.db|desktop\.ini|DICOMDIR)$/i;

/** Works through items some at a time; `item.name` is what people know it by. */
export class Queue {
  #waiting = [];
  #running = new Map();
  #done = 0;
  #total = 0;

  /**
   * work(item, signal): resolves when the item is done, whatever became of it.
   * atOnce: how many run side by side; onChange({ done, total, current, busy }): after every step.
   */
  constructor(work, { atOnce, onChange }) {
    Object.assign(this, { work, atOnce, onChange });
  }

  add(items) {
    if (!this.busy) this.#done = this.#total = 0;
    this.#waiting.push(...items);
    this.#total += items.length;
    this.#tell();
    while (this.#running.size < this.atOnce && this.#waiting.length) this.#next();
  }

  get busy() {
    return this.#waiting.length + this.#running.size > 0;
  }

  /** Drops what waits and aborts what runs; returns the items that were not done, in order. */
  cancel() {
    const left = [...this.#running.keys(), ...this.#waiting];
    this.#waiting = [];
    for (const stop of this.#running.values()) stop.abort();
    return left;
  }

  async #next() {
    const item = this.#waiting.shift();
    const stop = new AbortController();
    this.#running.set(item, stop);
    this.#tell();
    try {
      await this.work(item, stop.signal);
    } finally {
      this.#running.delete(item);
      this.#done += 1;
      if (this.#waiting.length) this.#next();
      this.#tell();
    }
  }

  #tell() {
    const current = [...this.#running.keys()].map((item) => item.name);
    this.onChange({ done: this.#done, total: this.#total, current, busy: this.busy });
  }
}

/** Asks before the page is left while there is something in the queue. */
export function warnWhile(queue) {
  addEventListener("beforeunload", (event) => queue.busy && event.preventDefault());
}

/** What was not done after all, and the offer to go on with it: offer(items, sentence), nothing for an empty list. */
export function leftBehind(goOn) {
  let items = [];
  const show = () => (byId("left").hidden = items.length === 0);
  byId("left-go-on").addEventListener("click", () => {
    const again = items;
    items = [];
    show();
    goOn(again);
  });
  byId("left-leave").addEventListener("click", () => {
    items = [];
    show();
  });
  return (left, sentence) => {
    items = left;
    byId("left-text").textContent = sentence;
    show();
  };
}

/** Calls onFiles([{ file, name }, …]) for every way files can come in: dropped, pasted, chosen, or a whole folder. */
export function listen(onFiles) {
  const give = (found) => found.length && onFiles(found);
  for (const [button, input] of [["choose", "files"], ["choose-folder", "folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", (event) => {
      give(fromList(event.target.files));
      event.target.value = ""; // the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) event.preventDefault();
    give(files.map((file) => ({ file, name: file.name || "pasted image" })));
  });
  listenForDrops(give);
}

function listenForDrops(give) {
  const curtain = byId("curtain");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // dragenter and dragleave come for every element on the way
  const settle = () => {
    depth = 0;
    curtain.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    curtain.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    depth -= 1;
    if (depth <= 0 || event.relatedTarget === null) settle();
  });
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    settle();
    if (!carriesFiles(event)) return;
    event.preventDefault();
    give(await fromDrop(event.dataTransfer));
  });
}

function fromList(list) {
  const files = [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return files.filter(({ file, name }) => !name.includes("/") || !CLUTTER.test(file.name));
}

/** Files and the contents of folders. Entries must be taken before the event is over, so first all, then the walk. */
async function fromDrop(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = [];
  for (const { entry, file } of taken) {
    if (entry?.isDirectory) found.push(...(await walk(entry)));
    else if (file) found.push({ file, name: file.name });
  }
  return found;
}

async function walk(folder) {
  const found = [];
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!entries.length) return found;
    for (const entry of entries) {
      if (entry.isDirectory) found.push(...(await walk(entry)));
      else if (!CLUTTER.test(entry.name)) {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        found.push({ file, name: entry.fullPath.replace(/^\//, "") });
      }
    }
  }
}
