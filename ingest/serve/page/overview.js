// All time of a dataset in one strip: what is covered, what is missing, what is there twice, and the window shown.

import { ticks } from "./time.js";

const BAND = 34;

export class Overview extends EventTarget {
  constructor(canvas) {
    super();
    Object.assign(this, { canvas, coverage: null, window: null });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.go(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.go(event); });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!step || !this.window || !this.coverage) return;
      event.preventDefault();
      this.jump(this.window.start + BigInt(Math.round(this.window.span / 2)) + BigInt(step) * (this.last - this.first) / 100n);
    });
  }

  show(coverage, first, last) {
    Object.assign(this, { coverage, first, last });
    this.draw();
  }

  mark(window) {
    this.window = window;
    if (window && this.coverage) {
      const middle = (100 * (Number(window.start - this.first) + window.span / 2)) / Number(this.last - this.first);
      this.canvas.setAttribute("aria-valuenow", String(Math.round(Math.min(Math.max(middle, 0), 100))));
    }
    this.draw();
  }

  go(event) {
    if (!this.coverage) return;
    const box = this.canvas.getBoundingClientRect(), share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    this.jump(this.first + BigInt(Math.round(Number(this.last - this.first) * share)));
  }

  jump(ns) {
    this.dispatchEvent(new CustomEvent("jump", { detail: ns }));
  }

  draw() {
    const { canvas, coverage } = this, dense = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    if (!coverage || !width) return;
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const context = canvas.getContext("2d");
    context.scale(dense, dense);
    context.save();
    context.beginPath();
    context.roundRect(0, 0, width, BAND, 6);
    context.clip();
    hatch(context, width, BAND, colour("gap"), colour("gap-line"));
    const size = width / coverage.bins.length;
    context.fillStyle = colour("data");
    coverage.bins.forEach((share, index) => {
      if (!share) return;
      const tall = Math.max(BAND * share, 3);
      const left = Math.floor(index * size * dense) / dense, right = Math.ceil((index + 1) * size * dense) / dense;
      context.clearRect(left, BAND - tall, right - left, tall);
      context.fillRect(left, BAND - tall, right - left, tall);
    });
    const place = (ns) => (Number(BigInt(ns) - this.first) / Number(this.last - this.first)) * width;
    context.fillStyle = colour("twice");
    for (const [from, to] of coverage.overlaps) context.fillRect(place(from), 0, Math.max(place(to) - place(from), 2), 8);
    context.restore();
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = colour("quiet");
    context.textAlign = "center";
    const marks = ticks(this.first, Number(this.last - this.first), width / 110);
    for (const { ns, label } of marks) {
      const x = place(ns), half = context.measureText(label).width / 2;
      if (x > half && x < width - half) context.fillText(label, x, BAND + 15);
    }
    if (this.window) this.brush(context, place, colour);
  }

  brush(context, place, colour) {
    const { start, span } = this.window, width = this.canvas.clientWidth;
    const left = Math.max(place(start), 1), right = Math.min(place(start + BigInt(Math.round(span))), width - 1);
    if (right - left > width * 0.995) return;
    const from = Math.min(left, width - 4), wide = Math.max(right - left, 3);
    context.fillStyle = colour("accent");
    context.globalAlpha = 0.22;
    context.fillRect(from, 0, wide, BAND);
    context.globalAlpha = 1;
    context.strokeStyle = colour("accent");
    context.lineWidth = 2;
    context.strokeRect(from, 1, wide, BAND - 2);
  }
}

function hatch(context, width, height, ground, line) {
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);
  context.strokeStyle = line;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let x = -height; x < width; x += 7) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
}

/** The small bar of a dataset in the list. */
export function bar(canvas, shares) {
  const style = getComputedStyle(document.documentElement), context = canvas.getContext("2d");
  canvas.width = shares.length * 4;
  canvas.height = 7;
  hatch(context, canvas.width, 7, style.getPropertyValue("--gap"), style.getPropertyValue("--gap-line"));
  context.fillStyle = style.getPropertyValue("--data");
  shares.forEach((share, index) => {
    context.globalAlpha = share ? 0.3 + 0.7 * share : 0;
    context.fillRect(index * 4, 0, 4, 7);
  });
}
