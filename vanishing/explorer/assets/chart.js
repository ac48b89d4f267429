/* A line chart in SVG: scales, lines, marks for values that an axis cannot show, and touch. */

import { svg, html } from "./dom.js";
import { formatNumber, powerOfTen } from "./values.js";

const MARGIN = { top: 12, right: 12, bottom: 40, left: 58 };
const MOST_TICKS = 7;
const [LEAST_POWER, MOST_POWER] = [-307, 308]; // of ten, among normal numbers
const NEAR = 40; // pixels within which a pointer touches a point

/* The range of the finite values that an axis can show. */
export function rangeOf(values, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || value === null || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const first = Math.max(LEAST_POWER, Math.floor(Math.log10(low)));
    const last = Math.min(MOST_POWER, Math.max(Math.ceil(Math.log10(high)), first + 1));
    return [10 ** first, 10 ** last];
  }
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function ticksOf([low, high], log) {
  if (log) {
    const [first, last] = [Math.round(Math.log10(low)), Math.round(Math.log10(high))];
    const stride = Math.ceil((last - first) / MOST_TICKS) || 1;
    const ticks = [];
    for (let power = first; power <= last; power += stride) ticks.push(10 ** power);
    return ticks;
  }
  const rough = (high - low) / MOST_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stride = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / stride) * stride; tick <= high * (1 + 1e-9); tick += stride) {
    ticks.push(Math.abs(tick) < stride / 1e6 ? 0 : tick);
  }
  return ticks;
}

function scaleOf(range, log, from, to) {
  const place = log ? Math.log10 : (value) => value;
  const [low, high] = range.map(place);
  return (value) => from + ((place(value) - low) / (high - low || 1)) * (to - from);
}

const tickText = (value, log) => (log ? powerOfTen(Math.round(Math.log10(value))) : formatNumber(value));

/* Draw a chart into an element.

   x, y: {range, log, label, ticks, text}.  lines: [{name, kind, color, dash, points, marks, bars}],
   points as [x, y], kind `highlighted`, `compared` or `other`; `bars` are intervals [x, low, high].
   cursor: an x to mark.  onTouch(x, name): called with the touched point. */
export function drawChart(host, { label, x, y, lines, cursor, onTouch, height = 280 }) {
  const width = Math.max(240, host.clientWidth || 600);
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const toX = scaleOf(x.range, x.log, left + 8, right - 8);
  const toY = scaleOf(y.range, y.log, bottom, top);
  const place = (value) => {
    if (value === null) return null;
    if (!Number.isFinite(value)) return { y: top, mark: "×" };
    if (y.log && value <= 0) return { y: bottom, mark: "▽" };
    return { y: Math.min(bottom, Math.max(top, toY(value))), mark: null };
  };
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label,
  });
  picture.append(...axes(x, y, { left, right, top, bottom, toX, toY, width }));
  if (cursor !== undefined && cursor !== null) {
    const at = toX(cursor);
    picture.append(svg("line", { class: "cursor", x1: at, x2: at, y1: top, y2: bottom }));
  }
  const order = { other: 0, compared: 1, highlighted: 2 };
  const drawn = [...lines].sort((a, b) => order[a.kind] - order[b.kind]);
  const touchable = [];
  for (const line of drawn) picture.append(lineOf(line, toX, toY, place, touchable));
  const previous = host.querySelector("svg");
  if (previous) previous.replaceWith(picture);
  else host.prepend(picture);
  if (touchable.length) listen(host, picture, touchable, { x, onTouch });
}

function axes(x, y, { left, right, top, bottom, toX, toY, width }) {
  const parts = [];
  for (const tick of y.ticks ?? ticksOf(y.range, y.log)) {
    const at = toY(tick);
    parts.push(
      svg("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }),
      svg("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, (y.text ?? tickText)(tick, y.log)),
    );
  }
  const ticks = x.ticks ?? ticksOf(x.range, x.log);
  const stride = Math.ceil(ticks.length / Math.max(2, Math.floor((right - left) / 56)));
  ticks.forEach((tick, index) => {
    if (index % stride) return;
    const text = (x.text ?? tickText)(tick, x.log);
    parts.push(svg("text", { x: toX(tick), y: bottom + 16, "text-anchor": "middle" }, text));
  });
  parts.push(
    svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    svg("text", { class: "label", x: width - MARGIN.right, y: bottom + 34, "text-anchor": "end" }, x.label),
  );
  return parts;
}

function lineOf(line, toX, toY, place, touchable) {
  const group = svg("g", { class: `line ${line.kind}`, style: `--line: ${line.color}` });
  let [path, pen] = ["", "M"];
  for (const [valueX, value] of line.points) {
    const spot = place(value);
    const isBroken = spot === null || spot.mark !== null;
    if (!isBroken) path += `${pen}${toX(valueX).toFixed(1)} ${spot.y.toFixed(1)}`;
    pen = isBroken ? "M" : "L";
    if (spot === null) continue;
    const at = { x: toX(valueX), y: spot.y, valueX, value, line };
    touchable.push(at);
    if (spot.mark) group.append(svg("text", { class: "mark", x: at.x, y: at.y + 4 }, spot.mark));
    else if (line.marks) group.append(svg("circle", { cx: at.x, cy: at.y, r: 3 }));
  }
  if (!line.marksOnly) group.prepend(svg("path", { d: path || "M0 0", "stroke-dasharray": line.dash ?? "none" }));
  for (const [valueX, low, high] of line.bars ?? []) {
    const ends = [low, high].map((value) => place(value).y);
    group.append(svg("line", { x1: toX(valueX), x2: toX(valueX), y1: ends[0], y2: ends[1] }));
  }
  return group;
}

function listen(host, picture, touchable, { x, onTouch }) {
  const tip = html("div", { class: "tip", hidden: true });
  host.querySelector(".tip")?.remove();
  host.append(tip);
  const nearest = (event) => {
    const box = picture.getBoundingClientRect();
    const [atX, atY] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [null, NEAR ** 2];
    for (const spot of touchable) {
      // Between equally near points that of the highlighted line wins: it is drawn last.
      const distance = (spot.x - atX) ** 2 + (spot.y - atY) ** 2;
      if (distance <= least) [best, least] = [spot, distance];
    }
    return best;
  };
  picture.addEventListener("pointermove", (event) => {
    const spot = nearest(event);
    tip.hidden = !spot;
    if (!spot) return;
    const where = (x.describe ?? ((value) => formatNumber(value)))(spot.valueX, spot.line);
    tip.textContent = `${spot.line.name}, ${where}: ${formatNumber(spot.value)}`;
    tip.style.left = `${Math.min(spot.x + 8, host.clientWidth - tip.offsetWidth - 4)}px`;
    tip.style.top = `${Math.max(0, spot.y - 30)}px`;
  });
  picture.addEventListener("pointerleave", () => { tip.hidden = true; });
  picture.addEventListener("click", (event) => {
    const spot = nearest(event);
    if (spot && onTouch) onTouch(spot.valueX, spot.line.name);
  });
}
