// What a figure's curves are where one points: by pointer, touch, or the arrow keys.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function shown(value) {
  if (value === null) return "not finite";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  return size >= 1000 && size < 1e6 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

// The last of increasing places that is not right of x, or -1.
function before(places, x) {
  let found = -1;
  while (found + 1 < places.length && places[found + 1] <= x) found += 1;
  return found;
}

function cell(line, i) {
  const made = element("td", shown(line.values[i]));
  if (line.low && line.low[i] !== line.high[i]) {
    made.append(element("small", ` (${shown(line.low[i])} to ${shown(line.high[i])})`));
  }
  return made;
}

function filled(table, data, x) {
  const parts = [...new Set(data.lines.map((line) => line.part))];
  const rows = new Map();
  let place = -1;
  let at = null;
  for (const line of data.lines) {
    const i = before(line.at, x);
    const isOver = line.at[line.at.length - 1] < x - 1 && i === line.at.length - 1;
    if (i < 0 || (isOver && typeof line.values[0] !== "string")) continue;
    if (line.at[i] > place) [place, at] = [line.at[i], line.x[i]];
    if (!rows.has(line.name)) rows.set(line.name, { line, cells: new Map() });
    rows.get(line.name).cells.set(line.part, cell(line, i));
  }
  if (at === null) return null;
  const head = element("tr");
  head.append(element("th", `${data.label} ${shown(at)}`), ...parts.map((part) => element("th", part)));
  const body = [...rows].map(([name, { line, cells }]) => {
    const row = element("tr");
    const swatch = element("i", "", line.series === undefined ? "" : `swatch s${line.series}`);
    const title = element("th");
    title.append(swatch, name);
    row.append(title, ...parts.map((part) => cells.get(part) ?? element("td")));
    return row;
  });
  table.replaceChildren(head, ...body);
  return place;
}

function watch(svg) {
  const data = JSON.parse(svg.dataset.readout);
  data.label = data.across.split(" (")[0];
  const [left, top, right, bottom] = data.box;
  const places = [...new Set(data.lines.flatMap((line) => line.at))].sort((a, b) => a - b);
  const readout = element("div", "", "readout");
  const table = element("table");
  const hair = document.createElementNS(SVG, "line");
  hair.setAttribute("class", "hair");
  hair.setAttribute("y1", top);
  hair.setAttribute("y2", bottom);
  readout.append(table);
  readout.setAttribute("role", "status");
  svg.append(hair);
  svg.parentElement.append(readout);
  let current = -1;

  function hide() {
    svg.parentElement.classList.remove("read");
  }
  function show(x) {
    const place = filled(table, data, Math.min(Math.max(x, left), right));
    if (place === null) return hide();
    current = place;
    hair.setAttribute("x1", place);
    hair.setAttribute("x2", place);
    svg.parentElement.classList.add("read");
    readout.classList.remove("above");
    readout.classList.toggle("above", readout.getBoundingClientRect().bottom > window.innerHeight);
  }

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    show(((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width);
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") hide();
    if (step === undefined) return;
    const i = Math.max(0, before(places, current)) + step;
    show(places[Math.min(Math.max(i, 0), places.length - 1)]);
    event.preventDefault();
  });
}

document.querySelectorAll("svg[data-readout]").forEach(watch);
