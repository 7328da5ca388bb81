/* The page of `upwell watch`: asks for the runs every two seconds and draws their curves. No library. */
import { WORDS } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const EVERY = 2000;                       // milliseconds
const HELD = "held-out ";
const FIRST = ["bits per byte", "loss"];  // the large chart is the first of these that has held-out values, else that is there
const LAST = ["rate", "norm", "tokens per second", "memory"];
const SKIPPED = 0.05;                     // share of the course at whose height the picture is not cut

const at = id => document.getElementById(id);
const kept = (name, other) => { try { return localStorage.getItem("upwell.watch." + name) ?? other; } catch { return other; } };
const keep = (name, value) => { try { localStorage.setItem("upwell.watch." + name, value); } catch { /* private window */ } };

let runs = [], hidden = new Set(), lost = false, changed = 0;
let tongue = kept("tongue", navigator.language.startsWith("zh") ? "zh" : "en");
const charts = new Map();                 // name -> { figure, svg, value, legend }

/* ---- words and numbers ---- */
const word = name => WORDS[tongue][name] ?? name;
function title(name) {
  if (name.startsWith(HELD)) return `${word("held")}${tongue === "zh" ? "：" : ": "}${title(name.slice(HELD.length))}`;
  return WORDS[tongue].names[name] ?? name;
}
function short(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return trimmed(value / 1e9) + " G";
  if (size >= 1e6) return trimmed(value / 1e6) + " M";
  if (size >= 1e4) return trimmed(value / 1e3) + " k";
  if (size >= 100) return value.toFixed(0);
  if (size >= 1) return trimmed(value);
  if (size === 0) return "0";
  return size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
const trimmed = value => String(Number(value.toPrecision(4)));
function clock(seconds) {
  const s = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}
const place = (axis, x) => axis === "seconds" ? clock(x) : short(x);

/* ---- elements ---- */
function node(kind, attributes = {}, ...inside) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) name === "class" ? made.className = value : made.setAttribute(name, value);
  made.append(...inside);
  return made;
}
function drawn(kind, attributes, text) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/* ---- curves ---- */
function smoothed(values, weight) {
  let mean = 0, sum = 0;
  return values.map(value => {
    if (value == null) return null;
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
    return mean / sum;
  });
}
function series(name, axis) {
  /* What a chart shows of each run that is shown: the curve, and beside it the held-out one of the same name. */
  return runs.flatMap((run, number) => {
    if (hidden.has(run.name)) return [];
    return [[name, false], [HELD + name, true]].filter(([key]) => run.curves[key]).map(([key, held]) => {
      const curve = run.curves[key], raw = curve.values;
      const rough = !held && !name.startsWith(HELD) && name !== "rate" && raw.length > 20;
      const values = rough ? smoothed(raw, Number(at("smooth").value)) : raw;
      return { run: run.name, number, held: held || name.startsWith(HELD), rough, raw, values, xs: curve[axis], errors: curve.errors ?? [] };
    });
  });
}
function range(lines, log) {
  const xs = lines.flatMap(line => [line.xs[0], line.xs.at(-1)]), low = Math.min(...xs), high = Math.max(...xs);
  const from = at("zero").checked ? low : low + SKIPPED * (high - low), ys = [];
  for (const line of lines) line.values.forEach((y, i) => {
    if (y != null && (line.xs[i] >= from || line.values.length < 20) && !(log && y <= 0)) ys.push(y);
  });
  if (!ys.length) return null;
  let [bottom, top] = [Math.min(...ys), Math.max(...ys)];
  const room = log ? 0 : (top - bottom || Math.abs(top) || 1) * 0.06;
  if (bottom === top && log) { bottom /= 2; top *= 2; }
  const half = high === low ? Math.max(1, Math.abs(low) / 2) : 0;
  return { left: low - half, right: high + half, bottom: bottom - room, top: top + room };
}
function ticks(low, high, most) {
  const raw = (high - low) / most, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(n => n * size).find(n => n >= raw) ?? raw, found = [];
  for (let n = Math.ceil(low / step); n * step <= high && found.length < 20; n++) found.push(n * step);
  return found;
}
function logticks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const n of [1, 2, 5]) { const y = n * 10 ** power; if (y >= low && y <= high) found.push(y); }
  return found.length > 7 ? found.filter((_, i) => i % Math.ceil(found.length / 7) === 0) : found;
}

/* ---- charts ---- */
function names() {
  const all = new Set(runs.flatMap(run => Object.keys(run.curves)));
  const plain = [...all].filter(name => !name.startsWith(HELD) || !all.has(name.slice(HELD.length)));
  const first = FIRST.find(name => all.has(HELD + name)) ?? FIRST.find(name => all.has(name)) ?? plain[0];
  const rank = name => name === first ? -1 : LAST.includes(name) ? 100 + LAST.indexOf(name) : 10;
  return { first, all: plain.sort((a, b) => rank(a) - rank(b)) };
}
function chart(name) {
  if (charts.has(name)) return charts.get(name);
  const value = node("span", { class: "now" }), svg = drawn("svg", { role: "img" });
  const heading = node("h3"), figure = node("figure", { class: "chart" }, node("figcaption", {}, heading, value), svg);
  at("charts").append(figure);
  svg.addEventListener("pointermove", event => point(name, event));
  svg.addEventListener("pointerleave", () => { at("tip").hidden = true; svg.querySelector(".cross")?.remove(); });
  new ResizeObserver(() => draw(name)).observe(figure);
  charts.set(name, { figure, svg, value, heading });
  return charts.get(name);
}
function draw(name) {
  const { svg, value, heading, figure } = charts.get(name), axis = at("axis").value;
  heading.textContent = title(name);
  const lines = series(name, axis), wanted = at("log").checked && (FIRST.includes(name) || lines[0]?.held || name === "norm");
  const log = wanted && lines.every(line => line.values.every(y => y == null || y > 0));
  const box = lines.length ? range(lines, log) : null;
  svg.replaceChildren();
  figure.hidden = !box;
  if (!box) return;
  const width = svg.clientWidth || 600, height = svg.clientHeight || 180;
  const marks = (log ? logticks(box.bottom, box.top) : ticks(box.bottom, box.top, height < 220 ? 3 : 5)).map(y => [y, short(y)]);
  const left = 14 + 6.6 * Math.max(...marks.map(([, text]) => text.length), 2), foot = 20, head = 6, right = 10;
  const scale = y => log ? Math.log(y) : y, low = scale(box.bottom), high = scale(box.top);
  const X = x => left + (x - box.left) / (box.right - box.left) * (width - left - right);
  const Y = y => head + (high - scale(y)) / (high - low || 1) * (height - head - foot);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", title(name));
  const clip = `clip-${[...charts.keys()].indexOf(name)}`, frame = drawn("clipPath", { id: clip });
  frame.append(drawn("rect", { x: left - 1, y: 0, width: width - left - right + 6, height: height - foot + 4 }));
  svg.append(frame);
  for (const [y, text] of marks) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: Y(y), y2: Y(y) }));
    svg.append(drawn("text", { class: "mark", x: left - 6, y: Y(y) + 4, "text-anchor": "end" }, text));
  }
  for (const x of ticks(box.left, box.right, Math.max(2, width / 110)))
    svg.append(drawn("text", { class: "mark", x: X(x), y: height - 4, "text-anchor": "middle" }, place(axis, x)));
  const group = drawn("g", { "clip-path": `url(#${clip})` });
  for (const line of lines) {
    const colour = `run-${line.number % 8}`;
    if (line.rough) group.append(path(line.xs, line.raw, X, Y, `raw ${colour}`, log));
    group.append(path(line.xs, line.values, X, Y, `${line.held ? "held" : "line"} ${colour}`, log));
    if (line.held) line.values.forEach((y, i) => {
      if (y == null) return;
      const error = line.errors[i];
      if (error && y - error > 0) group.append(drawn("line", { class: `error ${colour}`, x1: X(line.xs[i]), x2: X(line.xs[i]), y1: Y(y - error), y2: Y(y + error) }));
      if (line.values.length <= 60) group.append(drawn("circle", { class: `dot ${colour}`, cx: X(line.xs[i]), cy: Y(y), r: 3 }));
    });
  }
  svg.append(group);
  charts.get(name).scale = { X, box, lines, axis, left, right, width, height, foot, head };
  const shown = lines.filter(line => line.number === lines[0].number);
  value.textContent = lines.length > 2 ? "" : shown.map(line => (line.held && shown.length > 1 ? word("held") + " " : "") + short(line.values.findLast(y => y != null))).join(" · ");
}
function path(xs, ys, X, Y, kind, log) {
  let d = "", pen = "M";
  ys.forEach((y, i) => {
    if (y == null || log && y <= 0) { pen = "M"; return; }
    d += `${pen}${X(xs[i]).toFixed(1)} ${Y(y).toFixed(1)}`;
    pen = "L";
  });
  return drawn("path", { class: kind, d });
}
function point(name, event) {
  const { svg, scale } = charts.get(name);
  if (!scale) return;
  const edge = svg.getBoundingClientRect(), { box, left, right, width } = scale;
  const x = box.left + (event.clientX - edge.left - left) / (width - left - right) * (box.right - box.left);
  const rows = scale.lines.map(line => {
    let best = 0;
    line.xs.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(line.xs[best] - x)) best = i; });
    return [line, best];
  });
  const nearest = rows.reduce((a, b) => Math.abs(b[0].xs[b[1]] - x) < Math.abs(a[0].xs[a[1]] - x) ? b : a);
  const here = nearest[0].xs[nearest[1]], tip = at("tip");
  svg.querySelector(".cross")?.remove();
  svg.append(drawn("line", { class: "cross", x1: scale.X(here), x2: scale.X(here), y1: scale.head, y2: scale.height - scale.foot }));
  tip.replaceChildren(node("b", {}, `${word(scale.axis === "seconds" ? "time" : scale.axis)} ${place(scale.axis, here)}`));
  for (const [line, i] of rows) {
    const label = (runs.length > 1 ? line.run + " " : "") + (line.held ? word("held") + " " : "");
    const error = line.errors[i] ? ` ± ${short(line.errors[i])}` : "";
    tip.append(node("span", {}, node("i", { class: `chip run-${line.number % 8}` }), `${label}${short(line.rough ? line.raw[i] : line.values[i])}${error}`));
  }
  tip.hidden = false;
  const wide = tip.offsetWidth, x0 = event.clientX + 16 + wide > innerWidth ? event.clientX - wide - 12 : event.clientX + 16;
  tip.style.translate = `${Math.max(4, x0)}px ${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
}

/* ---- the runs, and what they write ---- */
function list() {
  at("runs").replaceChildren(...runs.map((run, number) => {
    const done = run.steps ? Math.min(1, run.at.step / run.steps) : 0, off = hidden.has(run.name);
    const left = run.steps && run.at.step ? run.at.seconds / run.at.step * (run.steps - run.at.step) : 0;
    const said = [`${short(run.at.step)}${run.steps ? ` ${word("of")} ${short(run.steps)}` : ""} ${word("step")}`, clock(run.at.seconds)];
    if (left > 1) said.push(`${clock(left)} ${word("left")}`);
    const button = node("button", { type: "button", class: "run", "aria-pressed": String(!off) },
      node("i", { class: `chip run-${number % 8}` }), node("b", {}, run.name), node("span", {}, said.join(" · ")));
    if (run.steps) button.append(node("progress", { max: 1, value: done, "aria-label": run.name }));
    button.addEventListener("click", () => { off ? hidden.delete(run.name) : hidden.add(run.name); render(); });
    return node("li", {}, button);
  }));
}
function samples() {
  const found = runs.flatMap((run, number) => hidden.has(run.name) ? [] : run.samples.map(one => ({ ...one, number, run: run.name })));
  at("written").hidden = !found.length;
  const newest = found.sort((a, b) => b.step - a.step).slice(0, 12);
  at("samples").replaceChildren(...newest.map(one => {
    const card = node("article", { class: "sample" }, node("h3", {}, node("i", { class: `chip run-${one.number % 8}` }),
      `${runs.length > 1 ? one.run + ", " : ""}${word("at")} ${short(one.step)}`));
    for (const [key, name] of [["prompt", "prompt"], ["text", "model"], ["reference", "reference"]])
      if (one[key] !== undefined) card.append(node("p", { class: key }, ...(one.prompt === undefined && one.reference === undefined ? [] : [node("small", {}, word(name))]), one[key]));
    return card;
  }));
}

/* ---- right and said labels ---- */
function tables() {
  const found = runs.flatMap((run, number) => run.confusion && !hidden.has(run.name) ? [{ ...run.confusion, number, run: run.name }] : []);
  at("confused").hidden = !found.length;
  const key = JSON.stringify([tongue, found]);
  if (at("tables").dataset.key === key) return;       // the field that has the focus keeps it while nothing is new
  at("tables").dataset.key = key;
  const focused = document.activeElement?.dataset?.place;
  at("tables").replaceChildren(...found.map(table));
  if (focused) at("tables").querySelector(`[data-place="${CSS.escape(focused)}"]`)?.focus();
}
function table(one) {
  const { labels, counts } = one, name = runs.length > 1 ? one.run + ", " : "";
  const label = text => node("span", { title: text }, text);
  const tells = node("p", { class: "tells", "aria-live": "polite" });
  const head = node("tr", {}, node("th", { scope: "col" }, `${word("right")} ↓  ${word("said")} →`),
    ...labels.map(text => node("th", { scope: "col", class: "label" }, label(text))), node("th", { scope: "col", class: "label" }, label(word("sum"))));
  const rows = counts.map((row, y) => {
    const all = row.reduce((a, b) => a + b, 0);
    return node("tr", {}, node("th", { scope: "row" }, label(labels[y])), ...row.map((count, x) => {
      const share = all ? count / all : 0, told = word("cell")(count, all, `${(100 * share).toFixed(share && share < 0.1 ? 1 : 0)} %`, labels[y], labels[x]);
      const cell = node("td", { class: share > 0.55 ? "deep" : "", style: `--share: ${(100 * share).toFixed(1)}%`, tabindex: x || y ? "-1" : "0",
        "aria-label": told, "data-place": `${one.run}/${y}/${x}` }, String(count));
      cell.addEventListener("focus", () => { tells.textContent = told; });
      cell.addEventListener("pointerenter", () => { tells.textContent = told; });
      return cell;
    }), node("td", { class: "all" }, String(all)));
  });
  const drawn = node("table", { "aria-label": word("table")(runs.length > 1 ? `: ${one.run}` : "") }, node("thead", {}, head), node("tbody", {}, ...rows));
  drawn.addEventListener("keydown", event => moved(event, drawn, labels.length));
  return node("article", { class: "confusion" }, node("h3", {}, node("i", { class: `chip run-${one.number % 8}` }), `${name}${word("at")} ${short(one.step)}`),
    node("div", { class: "field" }, drawn), tells);
}
function moved(event, drawn, size) {
  /* Arrow keys, Home and End go from field to field; one field of a table is reached by the tabulator. */
  const cells = [...drawn.querySelectorAll("td:not(.all)")], now = cells.indexOf(event.target);
  const [x, y] = [now % size, Math.floor(now / size)], far = size - 1;
  const to = { ArrowRight: [x + 1, y], ArrowLeft: [x - 1, y], ArrowDown: [x, y + 1], ArrowUp: [x, y - 1], Home: [0, y], End: [far, y] }[event.key];
  if (now < 0 || !to) return;
  event.preventDefault();
  const next = cells[Math.min(far, Math.max(0, to[1])) * size + Math.min(far, Math.max(0, to[0]))];
  cells.forEach(cell => { cell.tabIndex = cell === next ? 0 : -1; });
  next.focus();
  next.scrollIntoView({ block: "nearest", inline: "center" });
}
function render() {
  document.documentElement.lang = tongue === "zh" ? "zh-Hans" : "en";
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = word(one.dataset.word);
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", word(one.dataset.label));
  at("language").textContent = tongue === "zh" ? "English" : "中文";
  list();
  const wanted = names();
  wanted.all.forEach((name, i) => {
    const { figure } = chart(name);
    figure.classList.toggle("large", name === wanted.first);
    figure.style.order = i;
    draw(name);
  });
  for (const [name, { figure }] of charts) if (!wanted.all.includes(name)) figure.hidden = true;
  at("empty").hidden = wanted.all.length > 0;
  tables();
  samples();
  said();
}
function said() {
  const live = Date.now() - changed < 30000;
  at("alive").textContent = lost ? word("lost") : runs.length ? word(live ? "live" : "idle") : "";
  at("alive").dataset.kind = lost ? "lost" : live ? "live" : "idle";
}
async function ask() {
  try {
    const seen = runs.map(run => run.version).join(",");
    const answer = await fetch(`/runs?seen=${seen}`, { signal: AbortSignal.timeout(20000) });
    const told = await answer.json(), fresh = told.filter(run => run.curves).length, before = runs.length;
    runs = told.map((run, i) => run.curves ? run : { ...runs[i], ...run });
    const was = lost;
    lost = false;
    if (fresh && before) changed = Date.now();
    if (fresh || was || !before) render();
  } catch { lost = true; }
  said();
  setTimeout(ask, EVERY);
}

for (const id of ["axis", "smooth", "log", "zero"]) {
  const one = at(id), key = one.type === "checkbox" ? "checked" : "value", old = kept(id, null);
  if (old !== null) one[key] = key === "checked" ? old === "true" : old;
  one.addEventListener("input", () => { keep(id, one[key]); render(); });
}
at("language").addEventListener("click", () => { tongue = tongue === "zh" ? "en" : "zh"; keep("tongue", tongue); render(); });
at("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    !document.documentElement.style.colorScheme && matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.style.colorScheme = dark ? "light" : "dark";
  keep("theme", document.documentElement.style.colorScheme);
});
if (kept("theme", "")) document.documentElement.style.colorScheme = kept("theme", "");
render();
ask();
