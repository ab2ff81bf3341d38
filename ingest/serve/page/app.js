// The page: what is chosen, where it is kept (in the address), and how its parts hear of each other.

import { json } from "./api.js";
import { MAPS } from "./colours.js";
import * as details from "./details.js";
import { frame, waterfall } from "./layers.js";
import { Overview, bar } from "./overview.js";
import { Picture, short } from "./picture.js";
import { duration, floorDivide, format, parse } from "./time.js";

const at = (id) => document.getElementById(id);
const { element } = details;
const picture = new Picture(at("picture")), overview = new Overview(at("overview"));
const now = { archive: null, info: null, coverage: null, cube: 0, place: [], told: null, failed: null, turn: 0 };
let writing = 0, laning = 0, lane = null;

// -- trouble --------------------------------------------------------------------------------------

const TITLES = {
  AccessDenied: "The store refuses", DamagedData: "Data is damaged", StoreTrouble: "The store does not answer", NotFound: "Not there",
  MissingExtra: "Something is not installed", Offline: "No server", InvalidInput: "This cannot be shown",
};

function trouble(error, again) {
  at("show").hidden = false;
  at("empty").hidden = true;
  at("trouble").hidden = false;
  at("trouble").querySelector("h3").textContent = TITLES[error.kind] ?? "Something went wrong";
  at("trouble").querySelector("p").textContent = error.message;
  at("trouble").querySelector("button").onclick = () => { at("trouble").hidden = true; now.failed = null; again(); };
  at("busy").hidden = true;
}

/** Do something that asks the server; say what went wrong, and how to try it again. */
async function guarded(deed, again = () => guarded(deed)) {
  try {
    return await deed();
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (error.status === undefined) console.error(error);
    trouble(error, again);
    return null;
  }
}

// -- the address ----------------------------------------------------------------------------------

function address() {
  return new URLSearchParams(location.hash.slice(1));
}

function whole(text) {
  return /^-?\d{1,19}$/.test(text ?? "") ? BigInt(text) : null;
}

function keep() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const { view, layer } = picture;
    if (!now.info || !view || !layer) return;
    const held = new URLSearchParams({ d: now.info.name });
    held.set(layer.timed ? "t" : "x", `${view.start},${view.start + BigInt(Math.round(view.span))}`);
    if (view.low !== 0 || view.high !== layer.rows) held.set("y", `${Number(view.low.toFixed(3))},${Number(view.high.toFixed(3))}`);
    if (!layer.timed) held.set("f", [now.cube, ...now.place].join());
    if (picture.mapByHand) held.set("c", picture.map);
    if (picture.chosen) held.set("s", `${picture.chosen.low},${picture.chosen.high}`);
    if (at("reduce").value !== defaultReduce()) held.set("r", at("reduce").value);
    history.replaceState(null, "", `#${held.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}`);
  }, 150);
}

const defaultReduce = () => (now.info?.kind === "frames" ? "mean" : "peak");

/** What the address says of the view, where it can be read. */
function told() {
  const said = address(), view = {};
  const [from, to] = (said.get("t") ?? said.get("x") ?? "").split(",").map(whole);
  if (from !== null && to !== null && from !== undefined && to !== undefined && to > from) Object.assign(view, { start: from, span: Number(to - from) });
  const [low, high] = (said.get("y") ?? "").split(",").map(Number);
  if (high > low) Object.assign(view, { low, high });
  const [least, most] = (said.get("s") ?? "").split(",").map(Number);
  const numbers = /^\d+(,\d+)*$/.test(said.get("f") ?? "") ? said.get("f").split(",").map(Number) : [];
  return { name: said.get("d"), view, limits: most > least ? { low: least, high: most, signed: least === -most } : null, map: said.get("c"), reduce: said.get("r"), numbers };
}

// -- archive and datasets ---------------------------------------------------------------------------

async function load(keepView = false) {
  const archive = await json("/api/archive");
  now.archive = archive;
  at("url").textContent = archive.url;
  document.title = `${archive.url.replace(/\/+$/, "").split("/").pop()} – Lightkeep`;
  const young = archive.young_commits ? `, ${archive.young_commits} young commits` : "";
  at("snapshot").textContent = `snapshot ${archive.snapshot}${young}, ${archive.sources} sources${archive.complete ? "" : "; what came in lately cannot be listed here"}`;
  at("trouble").hidden = true;
  list();
  at("details").hidden = false;
  refused();
  if (!archive.datasets.length) {
    at("empty").hidden = false;
    at("show").hidden = true;
    at("empty").querySelector("h2").textContent = "No data yet";
    at("empty").querySelector("p").textContent = `Put some in with: lightkeep ingest SOURCE ${archive.url}`;
    return;
  }
  const wanted = told().name, known = archive.datasets.some(({ name }) => name === wanted);
  if (wanted && !known) {
    trouble({ kind: "NotFound", message: `${wanted}: no such dataset in this archive; choose one from the list` }, () => choose(archive.datasets[0].name));
    return;
  }
  await choose(wanted ?? archive.datasets[0].name, keepView || Boolean(wanted));
}

function range(one) {
  if (!one.first) return "no data";
  const [from, to] = [BigInt(one.first), BigInt(one.last)], first = format(from, 10n ** 9n).replace("T", " "), last = format(to, 10n ** 9n).replace("T", " ");
  return first.slice(0, 10) === last.slice(0, 10) ? `${first.slice(0, 16)} – ${last.slice(11, 16)}` : `${first.slice(0, 10)} – ${last.slice(0, 10)}`;
}

function list() {
  at("datasets").replaceChildren(...now.archive.datasets.map((one) => {
    const strip = one.bar ? element("canvas", { "aria-hidden": "true" }) : null;
    const what = one.kind === "frames" ? "frames" : one.runs === 1 ? "1 run" : `${one.runs ?? 0} runs`;
    if (strip) bar(strip, one.bar);
    return element("li", {}, element("button", { type: "button", "data-name": one.name, "aria-current": now.info?.name === one.name, onclick: () => { history.replaceState(null, "", "#"); guarded(() => choose(one.name)); } },
      element("span", { class: "name" }, one.name), element("span", { class: "quiet" }, range(one)),
      element("span", { class: "quiet" }, `${what}, ${details.bytes(one.stored)}`), strip));
  }));
}

async function refused() {
  try {
    const found = await json("/api/quarantine", { state: now.archive.state });
    at("quarantine").replaceChildren(details.quarantine(found));
    at("refused").hidden = !found.open;
    at("refused").textContent = found.open === 1 ? "1 source in quarantine" : `${found.open} sources in quarantine`;
  } catch (error) {
    at("quarantine").replaceChildren(element("p", {}, error.message, " "), element("button", { type: "button", onclick: refused }, "Try again"));
  }
}

async function choose(name, fromAddress = false) {
  const turn = ++now.turn, state = now.archive.state;
  at("show").hidden = false;
  at("empty").hidden = true;
  at("trouble").hidden = true;
  at("busy").hidden = false;
  for (const button of at("datasets").querySelectorAll("button")) button.setAttribute("aria-current", String(button.dataset.name === name));
  const info = await guarded(() => json("/api/dataset", { state, dataset: name }), () => guarded(() => choose(name, fromAddress)));
  if (!info || turn !== now.turn) return;
  const said = told(), other = now.info?.name !== name;
  now.info = info;
  at("title").textContent = info.name;
  at("summary").textContent = summary(info);
  at("meta").replaceChildren(details.metadata(info));
  at("tab-header").hidden = info.kind !== "frames";
  at("go-label").hidden = info.kind === "frames";
  if (other || fromAddress) {
    picture.mapByHand = fromAddress && MAPS.includes(said.map);
    if (picture.mapByHand) picture.map = said.map;
    limits(fromAddress ? said.limits : null);
    at("reduce").value = fromAddress && ["peak", "mean"].includes(said.reduce) ? said.reduce : defaultReduce();
  }
  if (!info.first) { picture.tiles?.stop(); at("busy").hidden = true; return; }
  const first = BigInt(info.first), last = BigInt(info.last) + BigInt(info.step ?? 1);
  await guarded(async () => {
    const found = await json("/api/coverage", { state, dataset: name, from: first, to: last > first ? last : first + 1n, bins: 1024 });
    if (turn !== now.turn) return;
    now.coverage = found;
    overview.show(found, first, last);
    const gaps = found.gap_count ? `${found.gap_count} gap${found.gap_count > 1 ? "s" : ""}, ${duration(BigInt(found.missing_ns))} missing` : info.kind === "frames" ? "" : "no gaps";
    const twice = found.overlap_count ? `; ${found.overlap_count} overlap${found.overlap_count > 1 ? "s" : ""}` : "";
    at("coverage-text").textContent = gaps + twice;
    at("holes").replaceChildren(info.kind === "frames" ? element("p", { class: "quiet" }, `${info.cubes.reduce((sum, cube) => sum + cube.missing, 0)} frames are missing.`) : details.holes(found, info, goTo));
  });
  if (info.kind === "frames") {
    const numbers = fromAddress ? said.numbers : [], cube = info.cubes[numbers[0]] ? numbers[0] : 0, outer = info.cubes[cube].shape.slice(0, -2);
    now.cube = cube;
    now.place = outer.map((length, axis) => Math.min(numbers[axis + 1] ?? 0, length - 1));
    places();
    await turnTo(fromAddress ? said.view : {});
    return;
  }
  at("places").replaceChildren();
  const layer = waterfall(info, state, at("reduce").value), start = opening(layer);
  picture.show(layer, fromAddress && said.view.start !== undefined ? { low: 0, high: layer.rows, ...said.view } : start);
}

/** The first view: all of it where that is short, else the beginning of the last stretch with data. */
function opening(layer) {
  const whole = Number(layer.last - layer.first), wanted = Number(BigInt(now.info.step)) * 60_000;
  if (whole <= wanted * 4) return null;
  return { start: layer.first, span: wanted, low: 0, high: layer.rows };
}

function summary(info) {
  if (info.kind === "frames") return `${info.instrument} frames, ${info.cubes.reduce((sum, cube) => sum + cube.frames, 0)} in ${details.bytes(info.stored)}`;
  const across = info.dims.slice(1).map((dim, axis) => `${info.widths[axis]} ${dim === "distance" ? "channels" : dim}`).join(" × ");
  return `${across || "1 channel"} at ${Number(info.rate_hz.toPrecision(6))} Hz, ${info.dtype}, ${details.bytes(info.stored)} in ${info.granules} granules`;
}

// -- frames -----------------------------------------------------------------------------------------

function places() {
  const about = now.info.cubes[now.cube], made = [];
  if (now.info.cubes.length > 1) {
    const select = element("select", { "aria-label": "Tile" }, ...now.info.cubes.map((cube, number) => element("option", { value: number, selected: number === now.cube }, `tile ${cube.tile?.join(", ") ?? number}`)));
    select.addEventListener("change", () => { now.cube = Number(select.value); now.place = now.info.cubes[now.cube].shape.slice(0, -2).map((length, axis) => Math.min(now.place[axis], length - 1)); places(); turnTo({}); });
    made.push(select);
  }
  about.shape.slice(0, -2).forEach((length, axis) => {
    if (length === 1) return;
    const number = element("output", {}, `${now.place[axis]} / ${length - 1}`);
    const slider = element("input", { type: "range", min: 0, max: length - 1, value: now.place[axis], "data-axis": axis });
    slider.addEventListener("input", () => { now.place[axis] = Number(slider.value); number.textContent = `${slider.value} / ${length - 1}`; turnTo(null); });
    made.push(element("label", {}, about.axes[axis], slider, number));
  });
  at("places").replaceChildren(...made);
}

/** Show the image that is chosen; in the same window where none is given. */
async function turnTo(view) {
  const turn = ++now.turn, { info, cube } = now, place = [...now.place], state = now.archive.state;
  await guarded(async () => {
    const found = await json("/api/frame", { state, dataset: info.name, cube, at: place.join() });
    if (turn !== now.turn) return;
    now.told = found;
    at("header").replaceChildren(details.header(found));
    const layer = frame(info, state, at("reduce").value, cube, place, found), window = view ?? picture.view;
    const same = view === null || window.start !== undefined;
    picture.show(layer, same ? { low: 0, high: layer.rows, ...window } : null);
    overview.mark(found.time ? { start: BigInt(found.time), span: 1 } : null);
  }, () => turnTo(view));
}

// -- controls -----------------------------------------------------------------------------------------

function limits(pair) {
  picture.chosen = pair;
  picture.automatic = !pair;
  at("auto").setAttribute("aria-pressed", String(!pair));
  picture.draw();
}

function goTo(from, to) {
  const middle = (from + to) / 2n, length = Math.max(Number(to - from) * 3, picture.layer.shortest * 8);
  picture.look({ start: middle - BigInt(Math.round(length / 2)), span: length });
  at("picture").scrollIntoView({ block: "nearest" });
  at("picture").focus({ preventScroll: true });
}

for (const name of MAPS) at("map").append(element("option", { value: name }, name));
at("map").addEventListener("change", () => { Object.assign(picture, { map: at("map").value, mapByHand: true }); picture.draw(); keep(); });
at("reduce").addEventListener("change", () => { if (now.info?.kind === "frames") turnTo(null); else if (picture.layer) picture.show(waterfall(now.info, now.archive.state, at("reduce").value), picture.view); });
for (const id of ["low", "high"]) {
  at(id).addEventListener("change", () => {
    const read = (one) => Number(at(one).value.replace("−", "-").replace(",", ".")), low = read("low"), high = read("high");
    const good = Number.isFinite(low) && Number.isFinite(high) && low < high;
    at(id).setAttribute("aria-invalid", String(!good));
    if (good) { at("low").removeAttribute("aria-invalid"); at("high").removeAttribute("aria-invalid"); limits({ low, high, signed: low === -high }); keep(); }
  });
}
const auto = () => { picture.shown = null; limits(null); keep(); };
at("auto").addEventListener("click", auto);
at("go").addEventListener("change", () => {
  const ns = parse(at("go").value);
  at("go").setAttribute("aria-invalid", String(ns === null));
  if (ns !== null && picture.view) picture.look({ start: ns - BigInt(Math.round(picture.view.span / 2)) });
});
for (const button of document.querySelectorAll("[data-do]")) {
  const deeds = { in: () => picture.zoom(0.5), out: () => picture.zoom(2), left: () => picture.pan(-0.4), right: () => picture.pan(0.4), all: () => picture.look(picture.all()) };
  button.addEventListener("click", () => { if (picture.layer) deeds[button.dataset.do](); });
}
at("refresh").addEventListener("click", () => guarded(() => load(true)));
at("refused").addEventListener("click", () => { tab(at("tab-quarantine")); at("quarantine").scrollIntoView({ block: "nearest" }); });

function tab(chosen) {
  for (const one of document.querySelectorAll("[role=tab]")) {
    const on = one === chosen;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    at(one.getAttribute("aria-controls")).hidden = !on;
  }
  chosen.focus({ preventScroll: true });
}
for (const one of document.querySelectorAll("[role=tab]")) {
  one.addEventListener("click", () => tab(one));
  one.addEventListener("keydown", (event) => {
    const all = [...document.querySelectorAll("[role=tab]:not([hidden])")], step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) tab(all[(all.indexOf(one) + step + all.length) % all.length]);
  });
}

// -- what the picture tells -----------------------------------------------------------------------------

picture.addEventListener("auto", auto);
picture.addEventListener("turn", ({ detail }) => {
  const slider = at("places").querySelector("input[type=range]");
  if (slider) { slider.value = String(Number(slider.value) + detail); slider.dispatchEvent(new Event("input")); }
});
picture.addEventListener("look", () => {
  if (picture.layer.timed) overview.mark(picture.view);
  keep();
});

/** A round step below which digits of a stamp say nothing at this zoom. */
const fine = () => 10n ** BigInt(Math.max(Math.floor(Math.log10(Math.max(picture.view.span / 2000, 1))), 0));

picture.addEventListener("settle", async () => {
  const { view, layer } = picture;
  if (layer.timed) {
    const step = fine(), round = (ns) => format(floorDivide(ns, step) * step, step);
    at("window").textContent = `${round(view.start)} to ${round(view.start + BigInt(Math.round(view.span)))} UTC (${duration(Math.round(view.span))})${layer.rows > 1 ? `, ${layer.yRange(view)}` : ""}`;
  } else {
    at("window").textContent = [now.told.missing ? "frame missing" : now.told.files[0], now.told.time ? `${format(BigInt(now.told.time), 1_000_000n)} UTC` : null, layer.xRange(view), layer.yRange(view)].filter(Boolean).join(", ");
  }
  at("picture").setAttribute("aria-label", `${now.info.name}: ${at("window").textContent}`);
  keep();
  if (!layer.timed || view.span < 2) return;
  clearTimeout(laning);
  laning = setTimeout(async () => {
    lane?.abort();
    lane = new AbortController();
    const end = view.start + BigInt(Math.round(view.span));
    try {
      const found = await json("/api/coverage", { state: now.archive.state, dataset: now.info.name, from: view.start, to: end, bins: 512 }, lane.signal);
      if (picture.layer !== layer) return;
      picture.lane = { first: view.start, last: end, bins: found.bins, overlaps: found.overlaps.map((pair) => pair.map(BigInt)) };
      picture.draw();
    } catch { /* the picture says what is wrong */ }
  }, 60);
});
picture.addEventListener("point", ({ detail }) => {
  const { layer } = picture;
  if (!detail) { at("point").textContent = ""; return; }
  const x = layer.timed ? format(floorDivide(detail.x, fine()) * fine(), fine()) : layer.x(detail.x);
  const value = detail.value === undefined ? "" : detail.value === -Infinity ? "no data" : Number.isFinite(detail.value) ? `${Number(detail.value.toPrecision(7))} ${now.info.attrs.data_units ?? now.info.cubes?.[now.cube].unit ?? ""}` : "not a number";
  at("point").textContent = [x, layer.y(detail.y), value].filter(Boolean).join("  ·  ");
});
picture.addEventListener("drawn", ({ detail }) => {
  at("busy").hidden = !detail.busy;
  if (document.activeElement !== at("low")) at("low").value = short(picture.used.low, (picture.used.high - picture.used.low) / 1000);
  if (document.activeElement !== at("high")) at("high").value = short(picture.used.high, (picture.used.high - picture.used.low) / 1000);
  at("map").value = picture.used.map;
  const part = detail.read < 0.99 && detail.complete ? `1 in ${Math.round(1 / detail.read)} samples read` : "";
  if (part) at("point").dataset.part = part; else delete at("point").dataset.part;
  if (!detail.failed || detail.failed === now.failed) return;
  now.failed = detail.failed;
  if (detail.failed.status === 404 && /no longer held/.test(detail.failed.message)) guarded(() => load(true));
  else trouble(detail.failed, () => picture.retry());
});
window.addEventListener("hashchange", () => { if (now.archive) guarded(() => load(true)); });

guarded(() => load());
