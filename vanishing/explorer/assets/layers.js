/* The charts on one layer and on the way from layer to layer: histograms, and factors with their
   causes. */

import { byId, html, tableBehind } from "./dom.js";
import { drawChart, rangeOf } from "./chart.js";
import { formatNumber, formatShare, numberOf, placeAt, powerOfTen } from "./values.js";
import { DASHES } from "./state.js";
import { firstQ, predict } from "./theory.js";
import { isChosen, layerTicks, lineStyle, momentText } from "./views.js";

const LOG10_OF_2 = Math.log10(2);

/* Shares of a layer's values per power of two, of the chosen runs. */
export function showHistogram(data, store, key) {
  const host = byId(`${key}-histogram`);
  const title = host.querySelector("figcaption");
  const canvas = html("div", { class: "canvas" });
  const caption = html("p", { class: "caption" });
  host.append(canvas, caption);
  const table = tableBehind(host, `histogram of the ${key}`);
  const draw = (state) => {
    const quantity = countedQuantity(data, key, state);
    const cells = data.runs
      .filter((run) => isChosen(state, run.name))
      .map((run) => ({ run, cell: histogramAt(run, quantity.key, state) }))
      .filter(({ cell }) => cell);
    canvas.hidden = !cells.length;
    title.textContent = `${quantity.symbol.replace("rms(", "").replace(/\)$/, "").replaceAll("‖", "")}: ${quantity.words}`;
    if (!cells.length) {
      const isAny = data.runs.some((run) => Object.keys(run.histograms).length);
      caption.textContent = isAny
        ? "No histogram is recorded in this layer."
        : "Histograms are left out: none is recorded, or the page has too many runs and layers.";
      table(() => ({ head: [], rows: [] }));
      return;
    }
    const edges = cells.flatMap(({ cell }) => [cell.first, cell.first + cell.counts.length]);
    const largest = Math.max(...cells.flatMap(({ cell }) => cell.counts.map((n) => n / cell.total)), 0);
    drawChart(canvas, {
      label: `Histogram of the size of single values in layer ${state.layer + 1}, in powers of two. The table below has the counts.`,
      x: {
        range: [Math.min(...edges) * LOG10_OF_2, Math.max(...edges, 1 + Math.min(...edges)) * LOG10_OF_2],
        text: powerTick,
        label: "size |x| of a value",
        describe: (power) => `near ${formatNumber(10 ** power)}`,
      },
      y: { range: [0, largest || 1], text: formatShare },
      lines: cells.map(({ run, cell }) => ({
        name: run.name,
        ...lineStyle(state, run.name),
        points: outline(cell),
      })),
      onTouch: (_, name) => store.set({ run: name }),
      height: 230,
    });
    caption.textContent = cells.map(({ run, cell }) => describeRest(run, cell)).join(" ");
    table(() => histogramTable(cells));
  };
  store.follow(draw);
  return draw;
}

/* The chosen quantity, or where no histogram of it is recorded another of the same chart. */
function countedQuantity(data, chart, state) {
  const isCounted = ({ key }) => data.runs.some((run) => run.histograms[key]);
  const chosen = data.quantities.find(({ key }) => key === state[chart]);
  if (isCounted(chosen)) return chosen;
  return data.quantities.find((quantity) => quantity.chart === chart && isCounted(quantity)) ?? chosen;
}

const powerTick = (power) => (Number.isInteger(power) ? powerOfTen(power) : "");

function histogramAt(run, key, state) {
  const recorded = run.histograms[key];
  const place = recorded && placeAt(recorded.steps, state.step);
  const cell = recorded?.counts[place][state.layer];
  if (!cell) return null;
  const [zeros, denormals, nonfinite, first, ...counts] = cell;
  const total = counts.reduce((sum, count) => sum + count, zeros + denormals + nonfinite);
  return { step: recorded.steps[place], zeros, denormals, nonfinite, first, counts, total };
}

function outline({ first, counts, total }) {
  const points = counts.flatMap((count, place) => [
    [(first + place) * LOG10_OF_2, count / total],
    [(first + place + 1) * LOG10_OF_2, count / total],
  ]);
  if (!points.length) return [];
  return [[points[0][0], 0], ...points, [points.at(-1)[0], 0]];
}

function describeRest(run, { step, zeros, denormals, nonfinite, total }) {
  const rest = [[zeros, "0"], [denormals, "denormal"], [nonfinite, "NaN or infinite"]]
    .filter(([count]) => count)
    .map(([count, word]) => `${formatShare(count / total)} are ${word}`);
  const values = `${total.toLocaleString("en")} values at ${momentText(run, step)}`;
  return `${run.name}: ${[values, ...rest].join(", ")}.`;
}

function histogramTable(cells) {
  const exponents = cells.flatMap(({ cell }) => cell.counts.map((_, place) => cell.first + place));
  const bins = [...new Set(exponents)].sort((a, b) => a - b);
  const rest = [["zero", "zeros"], ["denormal", "denormals"], ["NaN or infinite", "nonfinite"]];
  return {
    head: ["size |x| from", ...cells.map(({ run }) => run.name)],
    rows: [
      ...bins.map((bin) => [
        `2^${bin}`,
        ...cells.map(({ cell }) => String(cell.counts[bin - cell.first] ?? 0)),
      ]),
      ...rest.map(([word, name]) => [word, ...cells.map(({ cell }) => String(cell[name]))]),
    ],
  };
}

/* The factor by which the gradient changes from each layer to the one below it, and its cause. */
export function showHops(data, store) {
  const host = byId("hops");
  const canvas = html("div", { class: "canvas" });
  const caption = html("p", { class: "caption" });
  host.append(canvas, caption);
  const table = tableBehind(host, "factor per layer");
  const draw = (state) => {
    const run = data.runs.find(({ name }) => name === state.run);
    const series = run.series.dz;
    canvas.hidden = !series;
    if (!series) {
      caption.textContent = `${run.name}: rms(dL/dz) is not recorded.`;
      table(() => ({ head: [], rows: [] }));
      return;
    }
    const values = series.values[placeAt(series.steps, state.step)].map(numberOf);
    const measured = values.slice(0, -1).map((value, layer) => ratio(value, values[layer + 1]));
    const theory = theoryOf(run, data.inputs);
    const lines = hopLines(run, measured, theory);
    const last = Math.max(2, measured.length);
    drawChart(canvas, {
      label: `Factor by which the gradient of ${run.name} changes from the layer above. The table below has the numbers.`,
      x: {
        range: [1, last],
        ticks: layerTicks(measured.length),
        label: "layer (1 is nearest the input)",
        describe: (layer) => `layer ${layer}`,
      },
      y: { range: rangeOf(lines.flatMap(({ points }) => points.map(([, value]) => value)), true), log: true },
      lines,
      cursor: state.layer + 1,
      onTouch: (layer) => store.set({ layer: layer - 1 }),
      height: 230,
    });
    caption.textContent = [hopText(measured, theory), whyText(run, state.step)].filter(Boolean).join(" ");
    byId("hops-legend").replaceChildren(...lines.map(legendEntry));
    table(() => ({
      head: ["layer", ...lines.map(({ name }) => name)],
      rows: measured.map((_, layer) => [
        `${layer + 1}: ${run.layers[layer]}`,
        ...lines.map(({ points }) => formatNumber(points[layer]?.[1] ?? null)),
      ]),
    }));
  };
  store.follow(draw);
  return draw;
}

const ratio = (value, above) => (value === null || above === null ? null : value / above);

/* Theory of a run's network, as it was initialised; null of a network that it does not cover. */
function theoryOf(run, inputs) {
  if (!run.network || run.network.normalization !== "none" || !inputs) return null;
  return predict(run.network, inputs, firstQ(run.network, inputs));
}

function hopLines(run, measured, theory) {
  const asPoints = (values) => values.map((value, layer) => [layer + 1, value]);
  const lines = [
    { name: "measured", kind: "highlighted", color: "var(--highlight)", marks: measured.length <= 60, points: asPoints(measured) },
  ];
  if (theory && theory.length > 1) {
    const hops = theory.slice(0, -1);
    lines.push(
      { name: "theory, before training", kind: "compared", color: "var(--compared-1)", dash: DASHES[1], points: asPoints(hops.map(({ hop }) => hop)) },
      { name: "of it the weights, σw", kind: "compared", color: "var(--compared-2)", dash: DASHES[2], points: asPoints(hops.map(({ gain }) => Math.sqrt(gain))) },
      { name: "of it the slope, √E[φ'²]", kind: "compared", color: "var(--compared-3)", dash: DASHES[3], points: asPoints(hops.map(({ slope }) => Math.sqrt(slope))) },
    );
  }
  return lines;
}

/* What was measured operation by operation, at the last moment before a step at which that was done. */
function whyText(run, step) {
  const before = run.why.filter(([moment]) => moment <= step);
  if (!before.length) return "";
  const [moment, sentence] = before.at(-1);
  return `From the output to the input, after step ${moment}: ${sentence}`;
}

export function legendEntry({ name, color, dash }) {
  const sample = html("span", { class: "swatch", "aria-hidden": "true", style: `background: ${color}` });
  return html("li", {}, sample, dash && dash !== "none" ? `${name} (dashed)` : name);
}

function hopText(measured, theory) {
  const finite = measured.filter((value) => Number.isFinite(value) && value > 0);
  if (!finite.length) return "No factor is finite at this moment.";
  const least = Math.min(...finite);
  const layer = measured.indexOf(least) + 1;
  const sentence = `The smallest factor is ${formatNumber(least)}: so much of the gradient of layer ${layer + 1} arrives at layer ${layer}.`;
  if (!theory || theory.length < 2) return sentence;
  const { gain, slope, hop } = theory[0];
  return `${sentence} Before training, theory expects ${formatNumber(hop)} at layer 1; the weights give ${formatNumber(Math.sqrt(gain))}, the slope of the activation ${formatNumber(Math.sqrt(slope))}.`;
}
