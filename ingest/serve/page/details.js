// What is told in words: metadata, gaps and overlaps, the header of a frame, the quarantine.

import { duration, format } from "./time.js";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"], power = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), 5);
  return `${Number((count / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

const shown = (value) => (value === true ? "yes" : value === false ? "no" : value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

function pairs(entries) {
  const list = element("dl", { class: "pairs" });
  for (const [name, value] of entries) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, shown(value))));
  return list;
}

export function metadata(info) {
  const told = [["first", info.first ? format(BigInt(info.first)) : "–"], ["last", info.last ? format(BigInt(info.last)) : "–"]];
  if (info.kind === "samples") {
    told.push(["dims", ["time", ...info.dims.slice(1).map((dim, at) => `${info.widths[at]} ${dim}`)].join(" × ")], ["rate", `${Number(info.rate_hz.toPrecision(9))} Hz`], ["sample type", info.dtype],
      ["runs without a gap", info.runs]);
  } else {
    for (const cube of info.cubes) {
      const name = info.cubes.length > 1 ? `tile ${cube.tile?.join(", ") ?? ""} ` : "";
      told.push([`${name}axes`, cube.shape.map((length, at) => `${length} ${cube.axes[at]}`).join(" × ")], [`${name}frames`, `${cube.frames}${cube.missing ? `, ${cube.missing} missing` : ""}`]);
      if (cube === info.cubes[0]) cube.world.forEach(({ type, from, to, unit }) => {
        if (type !== "time") told.push([type.replace("custom:", ""), `${Number(from.toPrecision(7))} to ${Number(to.toPrecision(7))} ${unit}`]);
      });
    }
    told.push(["pixel type", `${info.cubes[0].dtype}${info.cubes[0].unit ? ` (${info.cubes[0].unit})` : ""}`]);
  }
  told.push(["stored", bytes(info.stored)], ["granules", info.granules], ["codec", info.codec], ["chunk", info.chunk.join(" × ")]);
  return pairs([...told, ...Object.entries(info.attrs)]);
}

export function header(told) {
  const entries = Object.entries(told.header);
  return entries.length ? pairs([["file", told.files[0]], ...entries]) : element("p", { class: "quiet" }, told.missing ? "This frame is missing." : "No header.");
}

export function holes(coverage, info, go) {
  const step = BigInt(info.step ?? 1), box = element("div");
  const link = (from, to) => element("button", { type: "button", onclick: () => go(BigInt(from), BigInt(to)) }, format(BigInt(from)));
  const part = (title, rows, count, none, head, exact = true) => {
    const more = count > rows.length ? `, ${rows.length} shown` : "";
    box.append(element("h3", {}, `${title}: ${exact ? "" : "at least "}${count}${more}`));
    if (!rows.length) { box.append(element("p", { class: "quiet" }, none)); return; }
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))));
    table.append(element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))));
    box.append(table);
  };
  part("Gaps", coverage.gaps.map(([from, to]) => [link(from, to), format(BigInt(to)), duration(BigInt(to) - BigInt(from) - step), (BigInt(to) - BigInt(from) + step / 2n) / step - 1n]),
    coverage.gap_count, "No sample is missing between the first and the last.", ["last sample before", "first sample after", "missing", "samples"]);
  part("Overlaps", coverage.overlaps.map(([from, to]) => [link(from, to), format(BigInt(to)), duration(BigInt(to) - BigInt(from) + step)]),
    coverage.overlap_count, "No time is held by more than one granule.", ["first sample", "last sample", "length"], coverage.overlaps_exact);
  box.append(element("p", { class: "quiet" }, "Of samples that are there twice, the granule that starts earlier serves."));
  return box;
}

export function quarantine(told) {
  if (!told.listed) return element("p", { class: "quiet" }, "This store cannot be listed, so that nobody can tell what was refused.");
  if (!told.count) return element("p", { class: "quiet" }, "Nothing was ever refused.");
  const rows = told.reports.map((one) => element("tr", {},
    element("td", {}, element("span", { class: one.open ? "tag open" : "tag" }, one.open ? "open" : "settled")),
    element("td", {}, one.url), element("td", {}, one.reason), element("td", {}, bytes(one.size)), element("td", {}, format(BigInt(one.refused), 1_000_000_000n))));
  const head = ["", "source", "reason", "size", "refused (UTC)"].map((name) => element("th", { scope: "col" }, name));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
