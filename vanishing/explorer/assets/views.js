/* The charts and tables on recorded runs. Each follows the store, and a touch changes it. */

import { byId, html, options, tableBehind } from "./dom.js";
import { drawChart, rangeOf } from "./chart.js";
import { formatNumber, formatShare, numberOf, placeAt, powerOfTen } from "./values.js";
import { MOST_COMPARED } from "./state.js";
import { firstQ, predict } from "./theory.js";

const DASHES = ["none", "7 3", "2 3", "8 3 2 3", "12 4", "4 2"];
const MOST_COLUMNS = 12; // of a table, beyond which it has the chosen runs alone
const LOG10_OF_2 = Math.log10(2);

/* How a run is drawn: the highlighted one, those compared with it, and all others. */
function lineStyle(state, name) {
  if (name === state.run) return { kind: "highlighted", color: "var(--highlight)", dash: "none" };
  const place = state.with.indexOf(name);
  if (place < 0) return { kind: "other", color: "var(--other)", dash: "none" };
  return { kind: "compared", color: `var(--compared-${place + 1})`, dash: DASHES[place] };
}

const isChosen = (state, name) => name === state.run || state.with.includes(name);

function runsOfTable(data, state) {
  if (data.runs.length <= MOST_COLUMNS) return data.runs;
  return data.runs.filter((run) => isChosen(state, run.name));
}

/* "step 1200, epoch 2" */
export function momentText(run, step) {
  const passed = run.epochs.filter(([, last]) => last <= step);
  return passed.length ? `step ${step}, epoch ${passed.at(-1)[0]}` : `step ${step}`;
}

/* With more than MOST_COMPARED names the one that was added first goes. */
function toggled(names, name) {
  if (names.includes(name)) return names.filter((other) => other !== name);
  return [...names, name].slice(-MOST_COMPARED);
}

export function showRuns(data, store) {
  const rows = data.runs.map((run) => {
    const rules = Object.values(run.rules);
    const problems = rules.filter((rule) => rule.verdict === "problem").length;
    const swatch = html("span", { class: "swatch", "aria-hidden": "true" });
    const name = html("button", { type: "button", onclick: () => store.set({ run: run.name }) }, run.name);
    const box = html("input", {
      type: "checkbox",
      "aria-label": `compare with ${run.name}`,
      onchange: () => store.set({ with: toggled(store.state.with, run.name) }),
    });
    const row = html(
      "tr", {},
      html("th", { scope: "row" }, swatch, name),
      html("td", {}, run.verdict),
      html("td", {}, `${problems ? "×" : "✓"} ${problems} of ${rules.length}`),
      html("td", {}, box),
    );
    return { run, row, swatch, name, box };
  });
  byId("runs").append(...rows.map(({ row }) => row));
  store.follow((state) => {
    for (const { run, row, swatch, name, box } of rows) {
      const style = lineStyle(state, run.name);
      row.className = style.kind;
      swatch.style.background = style.color;
      name.setAttribute("aria-pressed", String(run.name === state.run));
      box.checked = state.with.includes(run.name);
      box.disabled = run.name === state.run;
    }
    const run = data.runs.find(({ name }) => name === state.run);
    byId("reason").textContent = run.reason ?? problemsOf(run);
  });
}

function problemsOf(run) {
  const broken = Object.keys(run.rules).filter((rule) => run.rules[rule].verdict === "problem");
  if (!broken.length) return `${run.name}: no rule finds a problem.`;
  return `${run.name}: a problem by ${broken.map(ruleWords).join(", ")}. The reasons are below.`;
}

const ruleWords = (rule) => rule.replaceAll("_", " ");

/* A quantity of all runs over the layers, at the moment of the slider. */
export function showDepth(data, store, key) {
  const host = byId(key);
  const known = data.quantities.filter(({ chart, key: name }) => (
    chart === key && data.runs.some((run) => run.series[name])
  ));
  if (!known.length) {
    host.append(html("p", { class: "note" }, `No ${key} is recorded.`));
    return;
  }
  const select = byId(`${key}-quantity`);
  options(select, known.map((quantity) => [quantity.key, `${quantity.words}, ${quantity.symbol}`]));
  select.addEventListener("change", () => store.set({ [key]: select.value }));
  const caption = html("p", { class: "caption" });
  const canvas = html("div", { class: "canvas" });
  host.append(canvas, caption);
  const table = tableBehind(host, `${key} by layer`);
  const ranges = new Map(known.map((quantity) => [quantity.key, rangeOfSeries(data, quantity)]));
  const most = Math.max(...data.runs.map((run) => run.layers.length));

  const valuesOf = (run, name, step) => {
    const series = run.series[name];
    return series ? series.values[placeAt(series.steps, step)].map(numberOf) : [];
  };
  const draw = (state) => {
    const quantity = known.find(({ key: name }) => name === state[key]);
    select.value = quantity.key;
    const lines = data.runs.map((run) => ({
      name: run.name,
      ...lineStyle(state, run.name),
      marks: isChosen(state, run.name) && run.layers.length <= 60,
      points: valuesOf(run, quantity.key, state.step).map((value, layer) => [layer + 1, value]),
    }));
    drawChart(canvas, {
      label: `${quantity.words}, ${quantity.symbol}, by layer; ${state.run} is highlighted. The table below has the numbers.`,
      x: {
        range: [1, Math.max(2, most)],
        ticks: layerTicks(most),
        label: "layer (1 is nearest the input)",
        describe: (layer) => `layer ${layer}`,
      },
      y: { range: ranges.get(quantity.key), log: quantity.log, text: quantity.log ? undefined : formatShare },
      lines,
      cursor: state.layer + 1,
      onTouch: (layer, name) => store.set({ layer: layer - 1, run: name }),
    });
    const run = data.runs.find(({ name }) => name === state.run);
    const series = run.series[quantity.key];
    caption.textContent = series
      ? `${state.run}: ${quantity.symbol}, recorded at ${momentText(run, series.steps[placeAt(series.steps, state.step)])}.`
      : `${state.run}: ${quantity.symbol} is not recorded.`;
    table(() => {
      const runs = runsOfTable(data, state);
      const columns = runs.map(({ name }) => name);
      const values = runs.map((each) => valuesOf(each, quantity.key, state.step));
      const rows = Array.from({ length: most }, (_, layer) => [
        `${layer + 1}: ${run.layers[layer] ?? "not of this run"}`,
        ...values.map((ofRun) => formatNumber(ofRun[layer] ?? null)),
      ]);
      return { head: ["layer", ...columns], rows };
    });
  };
  store.follow(draw);
  return draw;
}

function layerTicks(most) {
  const stride = Math.ceil(most / 20);
  return Array.from({ length: Math.ceil(most / stride) }, (_, place) => 1 + place * stride);
}

/* The same for every moment, so that a line that falls is seen to fall. */
function rangeOfSeries(data, quantity) {
  if (!quantity.log) return [0, 1];
  const numbers = function* numbers() {
    for (const { series } of data.runs) {
      for (const layer of series[quantity.key]?.values ?? []) yield* layer.map(numberOf);
    }
  };
  return rangeOf(numbers(), true);
}

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
    caption.textContent = hopText(measured, theory);
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

const CURVES = {
  test_accuracy: "test accuracy",
  train_accuracy: "training accuracy",
  train_loss: "training loss",
  test_loss: "test loss",
  batch_loss: "loss of a batch",
};

export const curveKeys = (data) => Object.keys(CURVES).filter((key) => (
  data.runs.some((run) => run.curves[key])
));

/* Losses and accuracies over the steps; a touched step is the one of all charts. */
export function showCurves(data, store, moments) {
  const host = byId("curves");
  const known = curveKeys(data);
  if (!known.length) {
    host.append(html("p", { class: "note" }, "No loss is recorded. In a loop of your own, call watch.loss(loss)."));
    return undefined;
  }
  const select = byId("curve");
  options(select, known.map((key) => [key, CURVES[key]]));
  select.addEventListener("change", () => store.set({ curve: select.value }));
  const canvas = html("div", { class: "canvas" });
  host.append(canvas);
  const table = tableBehind(host, "learning curves");
  const lastStep = Math.max(1, ...moments, ...known.flatMap((key) => (
    data.runs.map((run) => run.curves[key]?.steps.at(-1) ?? 0)
  )));
  const draw = (state) => {
    select.value = state.curve;
    const recorded = data.runs.filter((run) => run.curves[state.curve]);
    const pointsOf = ({ curves }) => {
      const { steps, values } = curves[state.curve];
      return steps.map((step, place) => [step, numberOf(values[place])]);
    };
    const lines = recorded.map((run) => ({
      name: run.name,
      ...lineStyle(state, run.name),
      marks: isChosen(state, run.name) && run.curves[state.curve].steps.length <= 30,
      points: pointsOf(run),
    }));
    const isShare = state.curve.endsWith("accuracy");
    drawChart(canvas, {
      label: `${CURVES[state.curve]} over the steps of training; ${state.run} is highlighted. The table below has the numbers.`,
      x: { range: [0, lastStep], label: "step", describe: (step, line) => momentText(data.runs.find(({ name }) => name === line.name), step) },
      y: {
        range: isShare ? [0, 1] : rangeOf(lines.flatMap(({ points }) => points.map(([, value]) => value)), false),
        text: isShare ? formatShare : undefined,
      },
      lines,
      cursor: state.step,
      onTouch: (step, name) => store.set({ step: moments[placeAt(moments, step)], run: name }),
    });
    table(() => {
      const runs = runsOfTable(data, state).filter((run) => recorded.includes(run));
      const columns = runs.map((run) => new Map(pointsOf(run)));
      const steps = [...new Set(columns.flatMap((column) => [...column.keys()]))].sort((a, b) => a - b);
      return {
        head: ["step", ...runs.map(({ name }) => name)],
        rows: steps.map((step) => [String(step), ...columns.map((column) => formatNumber(column.get(step) ?? null))]),
      };
    });
  };
  store.follow(draw);
  return draw;
}

const SIGNS = { problem: "×", fine: "·", undefined: "?", "not applicable": "–" };

/* A cell per run and rule, whose reasons are shown when it is touched. Arrows move between cells. */
export function showRules(data, store) {
  const rules = ruleNames(data);
  const words = rules.map(ruleWords);
  byId("rules-head").append(...words.map((rule) => html("th", { scope: "col" }, html("span", {}, rule))));
  const explain = (run, rule) => {
    const { verdict, reasons } = run.rules[rule];
    const parts = [`${run.name}, ${ruleWords(rule)}: ${verdict}.`, ...reasons.map((reason) => `${reason}.`)];
    byId("rule-reason").replaceChildren(...parts.map((part) => html("p", {}, part)));
    store.set({ run: run.name, rule });
  };
  const cells = data.runs.map((run) => rules.map((rule) => {
    const verdict = run.rules[rule]?.verdict ?? "not applicable";
    return html("button", {
      type: "button",
      class: `verdict ${verdict.replace(" ", "-")}`,
      tabindex: "-1",
      "aria-label": `${run.name}, ${ruleWords(rule)}: ${verdict}`,
      onclick: () => run.rules[rule] && explain(run, rule),
    }, SIGNS[verdict]);
  }));
  const rows = data.runs.map((run, row) => html(
    "tr", {}, html("th", { scope: "row" }, run.name), ...cells[row].map((cell) => html("td", {}, cell)),
  ));
  byId("rules-body").append(...rows);
  moveByArrows(byId("rules-body"), cells);
  store.follow((state) => {
    rows.forEach((row, place) => { row.className = lineStyle(state, data.runs[place].name).kind; });
  });
  const { run: name, rule } = store.state;
  const first = data.runs.find((run) => run.name === name);
  if (rule && first.rules[rule]) explain(first, rule);
}

export const ruleNames = (data) => [...new Set(data.runs.flatMap((run) => Object.keys(run.rules)))];

function moveByArrows(body, cells) {
  if (!cells.length || !cells[0].length) return;
  let [row, column] = [0, 0];
  cells[0][0].tabIndex = 0;
  const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
  body.addEventListener("focusin", (event) => {
    const at = cells.findIndex((line) => line.includes(event.target));
    if (at < 0) return;
    cells[row][column].tabIndex = -1;
    [row, column] = [at, cells[at].indexOf(event.target)];
    cells[row][column].tabIndex = 0;
  });
  body.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const next = cells[row + move[0]]?.[column + move[1]];
    next?.focus();
  });
}

/* Statements with their evidence. */
export function showClaims(data) {
  if (!data.claims.length) return;
  byId("claims-section").hidden = false;
  const counts = ["supported", "refuted", "inconclusive"].map((verdict) => (
    `${data.claims.filter((claim) => claim.verdict === verdict).length} ${verdict}`
  ));
  byId("claims-count").textContent = `${data.claims.length} statements: ${counts.join(", ")}. Open one for its evidence.`;
  byId("claims").append(...data.claims.map((claim) => {
    const interval = claim.interval?.map((end) => formatNumber(numberOf(end))).join(" to ");
    const facts = [
      ["measured", claim.evidence],
      ["effect", formatNumber(numberOf(claim.effect))],
      ["95 % interval", interval ?? "none"],
      ["number of " + claim.over, String(claim.n)],
      ["rule", claim.test],
      ["because", claim.because],
      ["formula", claim.formula],
    ].filter(([, text]) => text);
    const badge = html("span", { class: `badge ${claim.verdict}` }, claim.verdict);
    return html(
      "details", {},
      html("summary", {}, badge, ` ${claim.claim}`),
      html("dl", {}, ...facts.flatMap(([term, text]) => [html("dt", {}, term), html("dd", {}, text)])),
    );
  }));
}

/* Attenuation as it was measured: [depth, predicted, measured, low, high]. */
export function measuredAttenuations(run) {
  return (run.theory?.attenuation ?? []).map(([depth, , , measured, low, high]) => ({
    depth, measured: numberOf(measured), low: numberOf(low), high: numberOf(high),
  }));
}


