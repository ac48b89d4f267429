/* The charts and tables on recorded runs. Each follows the store, and a touch changes it. */

import { byId, html, options, tableBehind } from "./dom.js";
import { drawChart, rangeOf } from "./chart.js";
import { formatNumber, formatShare, numberOf, placeAt } from "./values.js";
import { DASHES, MOST_COMPARED } from "./state.js";

const MOST_COLUMNS = 12; // of a table, beyond which it has the chosen runs alone

/* How a run is drawn: the highlighted one, those compared with it, and all others. */
export function lineStyle(state, name) {
  if (name === state.run) return { kind: "highlighted", color: "var(--highlight)", dash: "none" };
  const place = state.with.indexOf(name);
  if (place < 0) return { kind: "other", color: "var(--other)", dash: "none" };
  return { kind: "compared", color: `var(--compared-${place + 1})`, dash: DASHES[place] };
}

export const isChosen = (state, name) => name === state.run || state.with.includes(name);

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
      html("td", {}, problemCounts(run)),
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
    byId("remedy").hidden = !run.remedy;
    if (run.remedy) {
      const link = byId("remedy").querySelector("a");
      link.href = link.textContent = run.remedy;
    }
  });
}

/* "1 fails, 2 warnings" */
function problemCounts({ rules }) {
  const marks = Object.values(rules).map(({ mark }) => mark);
  const counts = ["fails", "warning", "note"].map((kind) => [kind, marks.filter((mark) => mark === kind).length]);
  const words = counts
    .filter(([, count]) => count)
    .map(([kind, count]) => `${count} ${kind}${kind !== "fails" && count > 1 ? "s" : ""}`);
  return words.length ? words.join(", ") : "no problem";
}

function problemsOf(run) {
  const broken = Object.keys(run.rules).filter((rule) => run.rules[rule].verdict === "problem");
  if (!broken.length) return `${run.name}: no rule finds a problem.`;
  return `${run.name}: a problem by ${broken.map(ruleWords).join(", ")}. The reasons are below.`;
}

export const ruleWords = (rule) => rule.replaceAll("_", " ");

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

export function layerTicks(most) {
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
