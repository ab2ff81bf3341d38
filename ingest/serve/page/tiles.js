// The tiles of one picture: which are wanted, which are there, and colours for them.

import { ApiError, tile } from "./api.js";
import { limits, paint } from "./colours.js";
import { floorDivide } from "./time.js";

const SIDE = 256n, KEPT = 240, AT_ONCE = 5;

export class Tiles {
  /** A layer says `request(level, x, rows, y)` and bounds; `changed` is called when there is something new to draw. */
  constructor(layer, changed) {
    Object.assign(this, { layer, changed, held: new Map(), under: new Map(), failed: new Map(), waiting: [], gone: false });
  }

  stop() {
    this.gone = true;
    for (const abort of this.under.values()) abort.abort();
    this.under.clear();
    this.waiting = [];
  }

  /** The tiles that cover a window at a level: place and extent of each, in units along x and rows along y. */
  covering({ start, span, low, high }, level, rows) {
    const width = SIDE << BigInt(level), height = 256 * 2 ** rows, found = [];
    const end = start + BigInt(Math.ceil(span));
    const first = start > this.layer.first ? start : this.layer.first, last = end < this.layer.last ? end : this.layer.last;
    if (last <= first) return found;
    const bottom = Math.max(Math.floor(Math.max(low, 0) / height), 0);
    const top = Math.floor((Math.min(high, this.layer.rows) - 1e-9) / height);
    for (let x = floorDivide(first, width); x * width < last && found.length < 400; x++) {
      for (let y = bottom; y <= top; y++) {
        found.push({ key: `${level}/${x}/${rows}/${y}`, level, x, rows, y, start: x * width, width: Number(width), low: y * height, height });
      }
    }
    return found;
  }

  /** Ask for what is missing of some tiles, the middle first, and let go of what nobody wants any more. */
  want(wanted) {
    const keys = new Set(wanted.map((one) => one.key));
    for (const [key, abort] of this.under) if (!keys.has(key)) { abort.abort(); this.under.delete(key); }
    this.waiting = wanted.filter((one) => !this.held.has(one.key) && !this.under.has(one.key) && !this.failed.has(one.key));
    this.next();
  }

  /** Ask for what lies beside the window too, once all in it is there. */
  ahead(beside) {
    this.waiting.push(...beside.filter((one) => !this.held.has(one.key) && !this.under.has(one.key) && !this.failed.has(one.key)
      && !this.waiting.some(({ key }) => key === one.key)));
    this.next();
  }

  next() {
    while (!this.gone && this.under.size < AT_ONCE && this.waiting.length) this.load(this.waiting.shift());
  }

  async load(one) {
    const abort = new AbortController();
    this.under.set(one.key, abort);
    try {
      const [path, parameters] = this.layer.request(one);
      const found = await tile(path, parameters, abort.signal);
      if (this.gone) return;
      this.held.set(one.key, { ...one, values: found.values, lines: found.rows, columns: found.columns, read: found.read, picture: null, colour: "" });
      this.trim();
    } catch (error) {
      if (abort.signal.aborted || this.gone) return;
      this.failed.set(one.key, error instanceof ApiError ? error : new ApiError(String(error), "Error", 0));
    } finally {
      if (this.under.get(one.key) === abort) this.under.delete(one.key);
    }
    this.next();
    this.changed();
  }

  trim() {
    for (const key of this.held.keys()) {
      if (this.held.size <= KEPT) break;
      this.held.delete(key);
    }
  }

  get(key) {
    const found = this.held.get(key);
    if (found) { this.held.delete(key); this.held.set(key, found); } // the latest used stays longest
    return found;
  }

  /** Forget what failed, and let go of what was asked before: it may yet fail as the rest did. */
  forgive() {
    this.failed.clear();
    for (const abort of this.under.values()) abort.abort();
    this.under.clear();
  }

  picture(one, colours) {
    if (one.colour !== colours.key) {
      one.picture = paint(one.values, one.lines, one.columns, colours);
      one.colour = colours.key;
    }
    return one.picture;
  }

  /** Limits for the colours from what some tiles show. */
  limits(wanted) {
    const samples = [];
    for (const { key } of wanted) {
      const values = this.held.get(key)?.values ?? [];
      const step = Math.max(Math.floor((values.length * wanted.length) / 60000), 1);
      for (let at = 0; at < values.length; at += step) samples.push(values[at]);
    }
    return limits(samples);
  }
}
