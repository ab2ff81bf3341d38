// Time in whole nanoseconds UTC since 1970, as BigInt: no float ever holds a stamp.

const SECOND = 1_000_000_000n, MINUTE = 60n * SECOND, HOUR = 60n * MINUTE, DAY = 24n * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function floorDivide(value, by) {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

function parts(ns) {
  const second = floorDivide(ns, SECOND);
  return { date: new Date(Number(second) * 1000), fraction: ns - second * SECOND };
}

/** ISO 8601, with as many decimals of a second as a step (ns) needs. */
export function format(ns, step = 1n) {
  const { date, fraction } = parts(ns);
  const digits = step >= SECOND ? 0 : 9 - /0*$/.exec(String(step < 1n ? 1n : step))[0].length;
  const text = date.toISOString().replace(/\.000Z$/, "");
  return digits > 0 ? `${text}.${String(fraction).padStart(9, "0").slice(0, digits)}` : text;
}

/** A stamp from ISO 8601 in UTC, to the nanosecond; null where it is none. */
export function parse(text) {
  const found = /^\s*(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?\s*Z?\s*$/.exec(text);
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0));
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) return null;
  return BigInt(ms) * 1_000_000n + BigInt((found[7] ?? "").padEnd(9, "0"));
}

/** How long something is, in the unit that people would say. */
export function duration(ns) {
  const seconds = Number(ns) / 1e9;
  const units = [[31_557_600, "years"], [86_400, "days"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];
  const [size, unit] = units.find(([one]) => seconds >= one * (one > 60 ? 2 : 1)) ?? units[units.length - 1];
  return `${Number((seconds / size).toPrecision(3))} ${unit}`;
}

function steps() {
  const found = [];
  for (let ten = 1n; ten < SECOND; ten *= 10n) for (const one of [1n, 2n, 5n]) found.push(ten * one);
  for (const one of [1n, 2n, 5n, 10n, 15n, 30n]) found.push(one * SECOND);
  for (const one of [1n, 2n, 5n, 10n, 15n, 30n]) found.push(one * MINUTE);
  for (const one of [1n, 2n, 3n, 6n, 12n]) found.push(one * HOUR);
  for (const one of [1n, 2n, 5n, 10n]) found.push(one * DAY);
  return found;
}
const STEPS = steps();

/** Stamps for an axis from start on over a span (ns): each with a label, the date where it changes. */
export function ticks(start, span, most) {
  const wanted = span / Math.max(most, 1), end = start + BigInt(Math.ceil(span));
  const step = STEPS.find((one) => Number(one) >= wanted);
  const stamps = step ? regular(start, end, step) : calendar(start, end, wanted);
  const size = step ?? 32n * DAY;
  let before = null;
  return stamps.map((ns, index) => {
    const label = step ? clock(ns, step) : day(ns, wanted);
    const date = step && step < DAY ? format(floorDivide(ns, DAY) * DAY).slice(0, 10) : null;
    const shown = date !== null && date !== before ? date : null;
    before = date;
    return { ns, label, date: index === 0 || shown ? date : null, step: size };
  });
}

function regular(start, end, step) {
  const found = [];
  for (let ns = floorDivide(start + step - 1n, step) * step; ns <= end && found.length < 64; ns += step) found.push(ns);
  return found;
}

function calendar(start, end, wanted) {
  const months = [1, 3, 6, 12, 24, 60, 120, 240, 600].find((one) => one * 2.63e15 >= wanted) ?? 1200;
  const first = parts(start).date, found = [];
  let count = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months;
  for (; found.length < 64; count += months) {
    const ns = BigInt(Date.UTC(Math.floor(count / 12), count % 12, 1)) * 1_000_000n;
    if (ns > end) break;
    if (ns >= start) found.push(ns);
  }
  return found;
}

function clock(ns, step) {
  if (step >= DAY) return day(ns, 0);
  const text = format(ns, step).slice(11);
  if (step >= MINUTE) return text.slice(0, 5);
  return text;
}

function day(ns, wanted) {
  const { date } = parts(ns);
  const month = MONTHS[date.getUTCMonth()];
  if (wanted > 2.6e16) return String(date.getUTCFullYear());
  return wanted > 0 ? `${month} ${date.getUTCFullYear()}` : `${date.getUTCDate()} ${month} ${date.getUTCFullYear()}`;
}
