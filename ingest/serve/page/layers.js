// What a picture shows: a waterfall of a dataset, or one image of a Cube.

import { ticks } from "./time.js";

const PIXEL = 2 ** 20; // units of a pixel of a frame, so that places between pixels are whole numbers too

/** Where the middle of each of some places along an axis lies, and back; null where the values do not go one way. */
function scale(numbers, values) {
  if (!values || values.length < 2) return null;
  const rising = values[1] > values[0];
  for (let at = 1; at < values.length; at++) if (values[at] > values[at - 1] !== rising || values[at] === values[at - 1]) return null;
  const middles = numbers.map((number) => number + 0.5);
  const between = (from, to, value) => {
    const up = from[from.length - 1] > from[0];
    let low = 0, high = from.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= value === up) low = middle; else high = middle;
    }
    return to[low] + ((value - from[low]) / (from[high] - from[low])) * (to[high] - to[low]);
  };
  return { value: (place) => between(middles, values, place), place: (value) => between(values, middles, value) };
}

function nice(size) {
  const ten = 10 ** Math.floor(Math.log10(size));
  return [1, 2, 5, 10].find((one) => one * ten >= size * 0.999) * ten;
}

/** Ticks between two places: nice values of the axis, or numbers of its samples. */
function numbers(axis, from, to, most) {
  const [first, last] = axis ? [axis.value(from), axis.value(to)] : [from - 0.5, to - 0.5];
  const low = Math.min(first, last), high = Math.max(first, last);
  if (!(high > low)) return [];
  const step = axis ? nice((high - low) / Math.max(most, 1)) : Math.max(nice((high - low) / Math.max(most, 1)), 1);
  const digits = Math.min(Math.max(-Math.floor(Math.log10(step) + 1e-9), 0), 9), found = [];
  for (let count = Math.ceil(low / step - 1e-9); count * step <= high + step * 1e-9 && found.length < 60; count++) {
    const value = count * step, place = axis ? axis.place(value) : value + 0.5;
    found.push({ at: (place - from) / (to - from), label: value.toFixed(digits).replace(/^-0(\.0*)?$/, "0$1").replace("-", "−") });
  }
  return found;
}

const units = (text) => (text ? ` (${text})` : "");

export function waterfall(info, state, reduce) {
  const step = BigInt(info.step), up = info.vertical, axis = up ? scale(up.numbers ?? [], up.values) : null;
  const what = String(info.attrs.data_type || "samples").replaceAll("_", " ");
  return {
    kind: "samples", name: info.name, timed: true, square: false, equal: false, unit: 1,
    first: BigInt(info.first), last: BigInt(info.last) + step, rows: up?.size ?? 1, finest: info.finest,
    shortest: Math.max(Number(step) * 8, 16),
    request: ({ level, x, rows, y }) => ["/api/tile", { state, dataset: info.name, level, x, rows, y, reduce }],
    xTicks: ({ start, span }, most) => ticks(start, span, most).map((tick) => ({ ...tick, at: Number(tick.ns - start) / span })),
    yTicks: ({ low, high }, most) => numbers(axis, low, high, most),
    xLabel: "UTC", yLabel: up ? (axis ? `${up.name}${units(up.units)}` : `${up.name}, number`) : "",
    valueLabel: `${what}${units(info.attrs.data_units)}`,
    y: (place) => !up ? "" : axis ? `${Number(axis.value(Math.floor(place) + 0.5).toFixed(3))} ${up.units ?? ""}` : `${up.name} ${Math.floor(place)}`,
    yRange: ({ low, high }) => !up ? "" : axis
      ? `${Number(axis.value(Math.ceil(low) + 0.5).toPrecision(6))} to ${Number(axis.value(Math.floor(high - 1) + 0.5).toPrecision(6))} ${up.units ?? ""}`.trim()
      : `${up.name} ${Math.ceil(low)} to ${Math.floor(high - 1)}`,
  };
}

const NAMES = { wl: "wavelength", freq: "frequency", lat: "latitude", lon: "longitude", ra: "right ascension", dec: "declination" };
const SKY = /^(custom:)?pos\.(helioprojective|heliographic|eq|galactic)/;

export function frame(info, state, reduce, cube, place, told) {
  const about = info.cubes[cube], shape = about.shape.slice(-2), [down, along] = told.axes;
  const axes = [scale(down.pixels, down.values), scale(along.pixels, along.values)];
  const label = (axis, found) => found ? `${NAMES[axis.type.split(".").slice(-1)[0]] ?? axis.name}${units(axis.unit)}` : `${axis.name}, pixel`;
  const at = place.join();
  return {
    kind: "frames", name: `${info.name}/${cube}`, timed: false, square: true, unit: PIXEL,
    equal: SKY.test(down.type) && SKY.test(along.type),
    first: 0n, last: BigInt(shape[1]) * BigInt(PIXEL), rows: shape[0], finest: 20, shortest: PIXEL * 4,
    request: ({ level, x, y }) => ["/api/frame-tile", { state, dataset: info.name, cube, at, level: level - 20, x, y, reduce }],
    xTicks: ({ start, span }, most) => numbers(axes[1], Number(start) / PIXEL, (Number(start) + span) / PIXEL, most),
    yTicks: ({ low, high }, most) => numbers(axes[0], low, high, most),
    xLabel: label(along, axes[1]), yLabel: label(down, axes[0]), valueLabel: about.unit || "value",
    y: (row) => `row ${Math.floor(row)}${axes[0] ? ` (${Number(axes[0].value(row).toPrecision(7))} ${down.unit})` : ""}`,
    x: (units_) => {
      const column = Number(units_) / PIXEL;
      return `column ${Math.floor(column)}${axes[1] ? ` (${Number(axes[1].value(column).toPrecision(7))} ${along.unit})` : ""}`;
    },
    yRange: ({ low, high }) => `rows ${Math.max(Math.ceil(low), 0)} to ${Math.min(Math.floor(high), shape[0]) - 1}`,
    xRange: ({ start, span }) => `columns ${Math.max(Math.ceil(Number(start) / PIXEL), 0)} to ${Math.min(Math.floor((Number(start) + span) / PIXEL), shape[1]) - 1}`,
  };
}
