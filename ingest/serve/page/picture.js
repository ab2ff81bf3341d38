// A picture to move about in: tiles under axes, drawn at once from what is there, sharper as more comes.

import { channels, table } from "./colours.js";
import { Tiles } from "./tiles.js";
import { floorDivide } from "./time.js";

/** A square of the stripes that stand for a gap. */
function hatching(ground, line) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 }), context = canvas.getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, 8, 8);
  context.strokeStyle = line;
  context.lineWidth = 2;
  context.beginPath();
  for (const at of [-8, 0, 8]) { context.moveTo(at - 1, 9); context.lineTo(at + 9, -1); }
  context.stroke();
  return canvas;
}

const LEFT = 74, RIGHT = 92, TOP = 18, BOTTOM = 46;
const SETTLE = 40; // ms without movement after which tiles are asked for

export class Picture extends EventTarget {
  constructor(canvas) {
    super();
    Object.assign(this, { canvas, layer: null, tiles: null, view: null, map: "diverging", chosen: null, automatic: true });
    Object.assign(this, { shown: null, lane: null, pending: 0, frame: 0, cursor: null, mapByHand: false });
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.theme(); this.draw(); });
    this.theme();
    this.listen();
  }

  theme() {
    const style = getComputedStyle(document.documentElement);
    this.colour = Object.fromEntries(["ink", "quiet", "line", "panel", "gap", "gap-line", "twice", "nan", "data", "grid", "accent"]
      .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.painted = { gap: [0, 0, 0, 0], nan: channels(this.colour.nan) };
    this.hatch = document.createElement("canvas").getContext("2d").createPattern(hatching(this.colour.gap, this.colour["gap-line"]), "repeat");
  }

  /** Show a layer; the window that is given, or all of it. */
  show(layer, view = null) {
    const same = this.layer && this.layer.kind === layer.kind && this.layer.name === layer.name;
    this.tiles?.stop();
    this.layer = layer;
    this.tiles = new Tiles(layer, () => this.draw());
    if (!same) this.shown = null;
    this.lane = null;
    this.view = view ? this.within(view) : this.all();
    this.changed();
  }

  all() {
    const span = Number(this.layer.last - this.layer.first), view = { start: this.layer.first, span, low: 0, high: this.layer.rows };
    if (!this.layer.equal) return view;
    const { width, height } = this.plot(), scale = Math.max(span / this.layer.unit / width, this.layer.rows / height);
    const wide = scale * width * this.layer.unit, high = scale * height;
    return { start: this.layer.first - BigInt(Math.round((wide - span) / 2)), span: wide, low: (this.layer.rows - high) / 2, high: (this.layer.rows + high) / 2 };
  }

  /** A window that is neither smaller nor wider than there is something to see. */
  within({ start, span, low, high }) {
    const whole = Number(this.layer.last - this.layer.first), all = this.layer.equal ? this.all() : null;
    span = Math.min(Math.max(span, this.layer.shortest), (all?.span ?? whole) * 1.2);
    const slack = BigInt(Math.round(span / 2)), least = this.layer.first - slack, most = this.layer.last - slack;
    start = start < least ? least : start > most ? most : start;
    const size = Math.min(Math.max(high - low, Math.min(this.layer.rows, 2)), all ? all.high - all.low : this.layer.rows);
    const room = all ? size / 2 : 0;
    low = Math.min(Math.max(low, -room), this.layer.rows - size + room);
    return { start, span, low, high: low + size };
  }

  look(view) {
    if (!this.layer) return;
    this.view = this.within({ ...this.view, ...view });
    this.changed();
  }

  changed() {
    this.draw();
    clearTimeout(this.pending);
    this.pending = setTimeout(() => { this.ask(); this.dispatchEvent(new Event("settle")); }, SETTLE);
    this.dispatchEvent(new Event("look"));
  }

  pan(share, up = 0) {
    const { start, span, low, high } = this.view;
    this.look({ start: start + BigInt(Math.round(span * share)), low: low + (high - low) * up, high: high + (high - low) * up });
  }

  /** Zoom by a factor around a place (shares of the plot); along time, along the rows, or both. */
  zoom(factor, across = 0.5, up = 0.5, axes = this.layer.equal ? "xy" : "x") {
    const { start, span, low, high } = this.view, next = { ...this.view };
    if (axes.includes("x")) {
      const wanted = Math.min(Math.max(span * factor, this.layer.shortest), Number(this.layer.last - this.layer.first) * 1.2);
      next.span = wanted;
      next.start = start + BigInt(Math.round((span - wanted) * across));
    }
    if (axes.includes("y")) {
      const size = (high - low) * factor, at = low + (high - low) * up;
      Object.assign(next, { low: at - size * up, high: at + size * (1 - up) });
    }
    this.look(next);
  }

  plot() {
    const { clientWidth, clientHeight } = this.canvas;
    return { width: Math.max(clientWidth - LEFT - RIGHT, 50), height: Math.max(clientHeight - TOP - BOTTOM, 50) };
  }

  levels() {
    const { width, height } = this.plot(), dense = Math.min(devicePixelRatio || 1, 2);
    const near = (value) => Math.floor(Math.log2(Math.max(value, 1e-9)) + 0.5);
    let level = near(this.view.span / (width * dense)), rows = near((this.view.high - this.view.low) / (height * dense));
    if (this.layer.square) {
      const both = Math.min(Math.max(near(this.view.span / this.layer.unit / (width * dense)), rows, 0), 20);
      return { level: both + Math.log2(this.layer.unit), rows: both };
    }
    level = Math.min(Math.max(level, this.layer.finest), 54);
    rows = Math.min(Math.max(rows, 0), Math.max(Math.ceil(Math.log2(this.layer.rows / 256)), 0));
    return { level, rows };
  }

  wanted() {
    const { level, rows } = this.levels();
    return this.tiles.covering(this.view, level, rows);
  }

  ask() {
    if (this.layer) this.tiles.want(this.wanted());
    this.draw();
  }

  retry() {
    this.tiles?.forgive();
    this.ask();
  }

  resize() {
    const dense = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * dense);
    this.canvas.height = Math.round(this.canvas.clientHeight * dense);
    if (this.layer) this.changed();
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  limits(wanted) {
    if (this.chosen) return this.chosen;
    const there = wanted.filter(({ key }) => this.tiles.held.has(key));
    if (!this.shown || (this.automatic && there.length === wanted.length)) this.shown = this.tiles.limits(there) ?? this.shown;
    return this.shown ?? { low: -1, high: 1, signed: false };
  }

  paint() {
    const context = this.canvas.getContext("2d"), dense = devicePixelRatio || 1;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    if (!this.layer || !this.view) return;
    const { width, height } = this.plot(), wanted = this.wanted(), limits = this.limits(wanted);
    const map = this.mapByHand ? this.map : this.layer.square ? "inferno" : limits.signed ? "diverging" : "viridis";
    this.used = { low: limits.low, high: limits.high, map };
    const key = [limits.low, limits.high, map, this.painted.gap, this.painted.nan].join();
    const colours = { ...limits, colours: table(map), ...this.painted, key };
    context.save();
    context.translate(LEFT, TOP);
    this.backdrop(context, width, height);
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    context.imageSmoothingEnabled = false;
    const missing = wanted.some((one) => !this.tiles.held.has(one.key));
    if (missing) this.others(wanted).forEach((one) => this.place(context, one, colours, width, height));
    let read = 1;
    for (const one of wanted) {
      const found = this.tiles.get(one.key);
      if (!found) continue;
      this.place(context, found, colours, width, height);
      read = Math.min(read, found.read);
    }
    context.restore();
    this.axes(context, width, height);
    this.bar(context, width, height, colours);
    this.drawLane(context, width);
    this.state(wanted, read);
  }

  backdrop(context, width, height) {
    context.fillStyle = this.hatch;
    context.fillRect(0, 0, width, height);
  }

  /** Tiles of other levels that are there, the nearest level last: drawn until the right ones have come. */
  others(wanted) {
    const level = wanted[0]?.level ?? 0, { start, span, low, high } = this.view;
    return [...this.tiles.held.values()].filter((one) => {
      const from = Number(one.start - start);
      return from < span && from + one.width > 0 && one.low < high && one.low + one.height > low;
    }).sort((a, b) => Math.abs(b.level - level) - Math.abs(a.level - level)).slice(-60);
  }

  place(context, one, colours, width, height) {
    const { start, span, low, high } = this.view;
    // Edges lie on whole pixels of the screen, so that neighbours meet without a seam.
    const dense = devicePixelRatio || 1, snap = (place) => Math.round(place * dense) / dense;
    const from = Number(one.start - start), left = snap((from / span) * width);
    const right = snap(((from + (one.width * one.columns) / 256) / span) * width);
    const scale = height / (high - low), tall = one.lines * 2 ** one.rows, y = (row) => snap(height - (row - low) * scale);
    const upper = y(one.low + tall), lower = y(one.low);
    context.save();
    context.beginPath();
    // The last row of a tile may stand for fewer rows than the others.
    context.rect(left, y(Math.min(one.low + tall, this.layer.rows)), right - left, lower - y(Math.min(one.low + tall, this.layer.rows)));
    context.clip();
    if (this.layer.square) this.clipColumns(context, width, height);
    context.fillStyle = this.hatch; // where the tile has nothing, and over what was drawn for it before
    context.fillRect(left, upper, right - left, lower - upper);
    context.drawImage(this.tiles.picture(one, colours), left, upper, right - left, lower - upper);
    context.restore();
  }

  clipColumns(context, width, height) {
    const right = (Number(this.layer.last - this.view.start) / this.view.span) * width;
    context.beginPath();
    context.rect(0, 0, right, height);
    context.clip();
  }

  state(wanted, read) {
    const failed = wanted.map(({ key }) => this.tiles.failed.get(key)).find(Boolean) ?? null;
    const there = wanted.filter(({ key }) => this.tiles.held.has(key)).length;
    const detail = { busy: there < wanted.length && !failed, failed, read, complete: there === wanted.length, tiles: wanted.length };
    this.canvas.dataset.complete = String(detail.complete);
    this.dispatchEvent(new CustomEvent("drawn", { detail }));
    if (detail.complete && wanted.length) {
      const { level, rows } = wanted[0], { start, span } = this.view, tile = Number(256n << BigInt(level));
      this.tiles.ahead(this.tiles.covering({ ...this.view, start: start - BigInt(Math.round(tile)), span: span + 2 * tile }, level, rows));
    }
  }

  // -- axes -------------------------------------------------------------------------------------

  axes(context, width, height) {
    context.save();
    context.translate(LEFT, TOP);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.lineWidth = 1;
    context.strokeStyle = this.colour.line;
    context.strokeRect(0.5, 0.5, width - 1, height - 1);
    context.fillStyle = this.colour.ink;
    context.textAlign = "center";
    let free = -Infinity, dated = -Infinity;
    for (const tick of this.layer.xTicks(this.view, width / 105)) {
      const x = tick.at * width;
      if (x < -1 || x > width + 1) continue;
      context.strokeStyle = this.colour.quiet;
      context.beginPath();
      context.moveTo(x, height);
      context.lineTo(x, height + 5);
      context.stroke();
      const half = context.measureText(tick.label).width / 2;
      if (x - half > free) {
        context.fillText(tick.label, x, height + 18);
        free = x + half + 8;
      }
      if (tick.date && x > dated) {
        context.fillStyle = this.colour.quiet;
        context.fillText(tick.date, Math.max(x, 10), height + 34);
        context.fillStyle = this.colour.ink;
        dated = x + 90;
      }
    }
    context.textAlign = "right";
    context.fillStyle = this.colour.quiet;
    context.fillText(this.layer.xLabel, width, height + 34);
    context.fillStyle = this.colour.ink;
    for (const tick of this.layer.yTicks(this.view, height / 46)) {
      const y = height - tick.at * height;
      if (y < -1 || y > height + 1) continue;
      context.strokeStyle = this.colour.quiet;
      context.beginPath();
      context.moveTo(-5, y);
      context.lineTo(0, y);
      context.stroke();
      context.fillText(tick.label, -9, y + 4);
    }
    context.save();
    context.translate(-LEFT + 15, height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillStyle = this.colour.quiet;
    context.fillText(this.layer.yLabel, 0, 0);
    context.restore();
    context.restore();
  }

  bar(context, width, height, { colours, low, high }) {
    const x = LEFT + width + 14, tall = Math.max(height - 20, 30), y = TOP + 10;
    for (let row = 0; row < tall; row++) {
      const value = colours[Math.round(255 * (1 - row / tall))];
      context.fillStyle = `rgb(${value & 255} ${(value >> 8) & 255} ${(value >> 16) & 255})`;
      context.fillRect(x, y + row, 12, 1.5);
    }
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = this.colour.ink;
    context.textAlign = "left";
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const text = short(low + (high - low) * share, (high - low) / 1000);
      context.fillText(text, x + 17, y + tall * (1 - share) + 4);
    }
    context.save();
    context.translate(LEFT + width + RIGHT - 6, TOP + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillStyle = this.colour.quiet;
    context.fillText(this.layer.valueLabel, 0, 0);
    context.restore();
  }

  /** What of the window is covered, and what of it twice, right above the picture. */
  drawLane(context, width) {
    if (!this.lane || !this.layer.timed) return;
    const { first, last, bins, overlaps } = this.lane, { start, span } = this.view;
    const place = (ns) => LEFT + (Number(ns - start) / span) * width;
    context.save();
    context.beginPath();
    context.rect(LEFT, 3, width, 12);
    context.clip();
    context.fillStyle = this.colour.gap;
    context.fillRect(LEFT, 6, width, 7);
    context.fillStyle = this.colour.data;
    const size = Number(last - first) / bins.length;
    bins.forEach((share, index) => {
      if (!share) return;
      const at = (number) => Math.round(LEFT + ((Number(first - start) + number * size) / span) * width);
      context.globalAlpha = 0.35 + 0.65 * share;
      context.fillRect(at(index), 6, at(index + 1) - at(index), 7);
    });
    context.globalAlpha = 1;
    context.fillStyle = this.colour.twice;
    for (const [from, to] of overlaps) context.fillRect(place(from), 4, Math.max(place(to) - place(from), 3), 11);
    context.restore();
  }

  // -- what people do ---------------------------------------------------------------------------

  shares(event) {
    const box = this.canvas.getBoundingClientRect(), { width, height } = this.plot();
    const across = (event.clientX - box.left - LEFT) / width, up = 1 - (event.clientY - box.top - TOP) / height;
    return { across, up, inside: across >= 0 && across <= 1 && up >= 0 && up <= 1 };
  }

  listen() {
    const canvas = this.canvas, fingers = new Map();
    let grabbed = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.layer || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, this.shares(event));
      grabbed = { view: this.view, from: this.shares(event) };
      canvas.classList.add("moving");
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = this.shares(event);
      if (this.layer) this.dispatchEvent(new CustomEvent("point", { detail: now.inside ? this.at(now) : null }));
      if (!fingers.has(event.pointerId)) return;
      const before = fingers.get(event.pointerId);
      fingers.set(event.pointerId, now);
      if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const spread = (place) => Math.hypot(place.across - other.across, place.up - other.up);
        this.zoom(Math.min(Math.max(spread(before) / Math.max(spread(now), 0.01), 0.5), 2), other.across, other.up);
        grabbed = { view: this.view, from: now };
        return;
      }
      const { view, from } = grabbed, rise = (from.up - now.up) * (view.high - view.low);
      this.look({ start: view.start + BigInt(Math.round((from.across - now.across) * view.span)), low: view.low + rise, high: view.high + rise });
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => {
        fingers.delete(event.pointerId);
        if (fingers.size) grabbed = { view: this.view, from: [...fingers.values()][0] };
        else canvas.classList.remove("moving");
      });
    }
    canvas.addEventListener("pointerleave", () => this.dispatchEvent(new CustomEvent("point", { detail: null })));
    canvas.addEventListener("wheel", (event) => {
      if (!this.layer) return;
      event.preventDefault();
      const { across, up } = this.shares(event), delta = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 30 : 1);
      const axes = this.layer.equal ? "xy" : event.shiftKey ? "y" : event.ctrlKey ? "xy" : "x";
      this.zoom(Math.exp(Math.max(Math.min(delta, 240), -240) / 320), Math.min(Math.max(across, 0), 1), Math.min(Math.max(up, 0), 1), axes);
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => {
      if (this.layer) this.zoom(0.4, this.shares(event).across, this.shares(event).up, "xy");
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.layer) return;
      const far = event.shiftKey ? 0.9 : 0.15;
      const deeds = {
        ArrowLeft: () => this.pan(-far), ArrowRight: () => this.pan(far), ArrowUp: () => this.pan(0, far), ArrowDown: () => this.pan(0, -far),
        "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), _: () => this.zoom(1 / 0.6),
        "]": () => this.zoom(0.6, 0.5, 0.5, "y"), "[": () => this.zoom(1 / 0.6, 0.5, 0.5, "y"), Home: () => this.look(this.all()),
        a: () => this.dispatchEvent(new Event("auto")), PageUp: () => this.dispatchEvent(new CustomEvent("turn", { detail: -1 })),
        PageDown: () => this.dispatchEvent(new CustomEvent("turn", { detail: 1 })),
      };
      const deed = deeds[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!deed) return;
      event.preventDefault();
      deed();
    });
  }

  /** Where a point of the plot lies, and the value that is shown there. */
  at({ across, up }) {
    const x = this.view.start + BigInt(Math.floor(this.view.span * across)), y = this.view.low + (this.view.high - this.view.low) * up;
    const { level, rows } = this.levels(), width = 256n << BigInt(level), height = 256 * 2 ** rows;
    const column = floorDivide(x, width), row = Math.floor(y / height);
    const found = this.tiles.held.get(`${level}/${column}/${rows}/${row}`);
    if (!found || y < 0 || y >= this.layer.rows) return { x, y, value: undefined };
    const line = Math.floor((y - found.low) / 2 ** rows), place = Number((x - found.start) >> BigInt(level));
    return { x, y, value: place < found.columns && line < found.lines ? found.values[line * found.columns + place] : undefined };
  }
}

/** A number as short as its neighbours at some distance allow. */
export function short(value, step) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3)) {
    const size = Math.max(Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(step * 100)), 1);
    return Math.abs(value) < step ? "0" : value.toExponential(Math.min(size, 3)).replace("e+", "e").replace("-", "−");
  }
  const digits = Math.min(Math.max(-Math.floor(Math.log10(step * 100)), 0), 6);
  return value.toFixed(digits).replace("-", "−");
}
