// Works through files, two at a time, so that both cores of the server are busy and the first answers come soon.

const AT_ONCE = 2;

export class Queue {
  #waiting = [];
  #running = new Map();
  #done = 0;
  #total = 0;

  /** work(item, signal): resolves when the item is done; onChange({ done, total, current }): after every step. */
  constructor(work, onChange) {
    this.work = work;
    this.onChange = onChange;
  }

  add(items) {
    if (!this.busy) this.#done = this.#total = 0;
    this.#waiting.push(...items);
    this.#total += items.length;
    this.#tell();
    while (this.#running.size < AT_ONCE && this.#waiting.length) this.#next();
  }

  get busy() {
    return this.#waiting.length + this.#running.size > 0;
  }

  /** Drops what waits and aborts what runs; returns how many were not read. */
  cancel() {
    const dropped = this.#waiting.length + this.#running.size;
    this.#waiting = [];
    for (const stop of this.#running.values()) stop.abort();
    return dropped;
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
