// Colour maps as tables of 256 colours, between stops that keep their lightness in order.

const STOPS = {
  diverging: ["#0b2a52", "#1f5f9e", "#5fa2ce", "#b5d5e8", "#f6f4ef", "#f3c4a6", "#e08356", "#b53a2c", "#5c0d1e"],
  viridis: ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  inferno: ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"],
  grey: ["#050505", "#fafafa"],
};
export const MAPS = Object.keys(STOPS);

export function channels(colour) {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
}

const packed = ([red, green, blue, alpha = 255]) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** 256 colours as pixels of an ImageData on a little-endian machine. */
export function table(name) {
  const stops = STOPS[name].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, index) => {
    const place = (index / 255) * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
    return packed(stops[low].map((from, at) => Math.round(from + (stops[low + 1][at] - from) * (place - low))));
  });
}

/** Draw values as colours: a canvas of their size, the first row at the bottom. */
export function paint(values, rows, columns, { low, high, colours, gap, nan }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer), scale = 255 / (high - low);
  const there = packed(gap), strange = packed(nan);
  for (let row = 0; row < rows; row++) {
    let from = row * columns, to = (rows - 1 - row) * columns;
    for (let column = 0; column < columns; column++, from++, to++) {
      const value = values[from];
      if (Number.isFinite(value)) pixels[to] = colours[Math.max(0, Math.min(255, Math.round((value - low) * scale)))];
      else pixels[to] = value === -Infinity ? there : strange;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Limits that show most of some values and are not led by a few: both alike around zero where there are both signs. */
export function limits(values) {
  const there = Float64Array.from(values.filter(Number.isFinite)).sort();
  if (!there.length) return null;
  const at = (share) => there[Math.min(Math.floor(share * there.length), there.length - 1)];
  let low = at(0.01), high = at(0.99);
  if (there[0] < 0 && there[there.length - 1] > 0 && Math.max(-low, high) < 20 * Math.min(-low, high)) {
    high = Math.max(-low, high);
    low = -high;
  }
  if (!(low < high)) [low, high] = [low - (Math.abs(low) * 0.01 || 1), high + (Math.abs(high) * 0.01 || 1)];
  return { low, high, signed: low === -high };
}
