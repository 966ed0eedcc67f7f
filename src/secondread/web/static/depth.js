// All grey values of a file of more than 8 bits, drawn through a window.

import { t } from "./page.js";
import { fetched } from "./session.js";

export class Depth {
  /** From the picture at this address, with the headers that say what its levels mean. */
  static async load(address) {
    const response = await fetched(address);
    if (!response.ok) throw new Error(t("The server answered {status}. Try again.", { status: response.status }));
    const numbers = (name) => response.headers.get(name).split(" ").map(Number);
    const bitmap = await createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
    const { width, height } = bitmap;
    const drawn = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
    drawn.drawImage(bitmap, 0, 0);
    const bytes = drawn.getImageData(0, 0, width, height).data;
    const levels = Uint16Array.from({ length: width * height }, (_, at) => 256 * bytes[4 * at] + bytes[4 * at + 1]);
    return new Depth(levels, { width, height }, numbers("Depth-Range"), numbers("Depth-Window"), response.headers.get("Depth-Unit") ?? "");
  }

  constructor(levels, size, [black, white], [centre, width], unit) {
    Object.assign(this, { levels, size, black, white, centre, width, unit, table: new Uint32Array(65536) });
  }

  /** How far level and width may go, in percent of the file's own window, as the sliders have them. */
  get limits() {
    const [low, high] = [Math.min(this.black, this.white), Math.max(this.black, this.white)];
    const percent = (value) => 50 + (100 * (value - this.centre)) / this.width;
    return {
      level: [Math.min(0, Math.floor(percent(low))), Math.max(100, Math.ceil(percent(high)))],
      width: [1, Math.max(200, Math.ceil((100 * (high - low)) / this.width))],
    };
  }

  /** The window in the file's own values. */
  windowOf(level, width) {
    return { centre: this.centre + ((level - 50) / 100) * this.width, width: (width / 100) * this.width };
  }

  /** Draws the picture through a window, onto a canvas of its size. */
  draw(canvas, level, width, inverted) {
    const wanted = this.windowOf(level, width);
    const falls = this.black > this.white !== inverted;
    for (let at = 0; at < 65536; at += 1) {
      const value = this.black + (at / 65535) * (this.white - this.black);
      const share = Math.min(1, Math.max(0, (value - wanted.centre) / wanted.width + 0.5));
      const grey = Math.round(255 * (falls ? 1 - share : share));
      this.table[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey; // opaque
    }
    if (canvas.width !== this.size.width || canvas.height !== this.size.height) Object.assign(canvas, this.size);
    const drawn = canvas.getContext("2d");
    const picture = drawn.createImageData(this.size.width, this.size.height);
    const pixels = new Uint32Array(picture.data.buffer);
    for (let at = 0; at < pixels.length; at += 1) pixels[at] = this.table[this.levels[at]];
    drawn.putImageData(picture, 0, 0);
  }
}
