/* Theory without training: turn the knobs, and see how the gradient shrinks or grows. */

import { byId, html, options, tableBehind } from "./dom.js";
import { drawChart, rangeOf } from "./chart.js";
import { formatNumber, numberOf } from "./values.js";
import { ACTIVATIONS, INITIALISERS, LARGEST_Q, attenuations, firstQ, predict } from "./theory.js";
import { legendEntry } from "./layers.js";
import { choice, number } from "./state.js";

export const VANISHED = 0.01; // a hundredth, as the rule vanishing_attenuation has it
const KNOBS = ["activation-function", "init", "std", "depth", "width", "skip"];
const INITIAL = { activation: "sigmoid", init: "default", std: 0.05, depth: 5, width: 100, skip: false };

/* The knobs as fields of the store, set to a run's network. */
export function knobFields(network, inputs) {
  const start = { ...INITIAL, ...network };
  return {
    "activation-function": choice(start.activation, Object.keys(ACTIVATIONS)),
    init: choice(start.init, Object.keys(INITIALISERS)),
    std: number(start.std ?? INITIAL.std, 0.001, 10, false),
    depth: number(Math.min(start.depth, 200), 1, 200),
    width: number(Math.min(start.width, 10000), 1, 10000),
    skip: choice(start.skip ? "yes" : "no", ["yes", "no"]),
    inputs: number(inputs.count, 1, 1000000),
    square: number(inputs.square, 1e-9, 1e9, false),
  };
}

const networkOf = (state) => ({
  activation: state["activation-function"],
  init: state.init,
  std: state.std,
  depth: state.depth,
  width: state.width,
  skip: state.skip === "yes",
});

export function showPredictor(data, store, fields) {
  options(byId("knob-activation-function"), Object.keys(ACTIVATIONS).map((name) => [name, name]));
  options(byId("knob-init"), Object.keys(INITIALISERS).map((name) => [name, name.replace("_", " ")]));
  for (const key of [...KNOBS, "inputs", "square"]) {
    const knob = byId(`knob-${key}`);
    const isSkip = key === "skip";
    knob.addEventListener(knob.type === "number" ? "change" : "input", () => {
      const value = fields[key].read(isSkip ? (knob.checked ? "yes" : "no") : knob.value);
      if (value === undefined) knob.value = store.state[key];
      else store.set({ [key]: value });
    });
  }
  byId("knobs-of-run").addEventListener("click", () => {
    const { network } = data.runs.find(({ name }) => name === store.state.run);
    const of = knobFields(network, { count: store.state.inputs, square: store.state.square });
    store.set(Object.fromEntries(KNOBS.map((key) => [key, of[key].initial])));
  });
  const canvases = ["attenuation", "chi"].map((key) => {
    const host = byId(`predicted-${key}`);
    const canvas = html("div", { class: "canvas" });
    host.append(canvas);
    return { canvas, table: tableBehind(host, key === "chi" ? "χ by layer" : "attenuation by depth") };
  });
  let previous = "";
  const draw = (state) => {
    for (const key of [...KNOBS, "inputs", "square"]) {
      const knob = byId(`knob-${key}`);
      if (key === "skip") knob.checked = state.skip === "yes";
      else if (document.activeElement !== knob || knob.type !== "number") knob.value = state[key];
    }
    byId("knob-std").disabled = state.init !== "normal";
    byId("depth-value").textContent = state.depth;
    const run = data.runs.find(({ name }) => name === state.run);
    byId("knobs-of-run").hidden = !run.network;
    byId("knobs-of-run").textContent = `Set the knobs to ${run.name}`;
    const settings = JSON.stringify([networkOf(state), state.inputs, state.square, run.name, canvases[0].canvas.clientWidth]);
    if (settings === previous) return; // the slider of moments changes nothing here
    previous = settings;
    drawPrediction(networkOf(state), { count: state.inputs, square: state.square }, run, canvases);
  };
  store.follow(draw);
  return draw;
}

function drawPrediction(network, inputs, run, [attenuation, chi]) {
  const measured = measuredAttenuations(run).filter((point) => point.measured !== null);
  const deepest = Math.max(2, network.depth, ...measured.map(({ depth }) => depth));
  // Without its last hop a network is the beginning of a deeper one.
  const layers = predict({ ...network, depth: deepest }, inputs, firstQ(network, inputs));
  const factors = attenuations(layers);
  const answer = describe(network, layers, factors);
  byId("prediction").textContent = answer;
  const lines = [
    { name: "theory", kind: "compared", color: "var(--compared-1)", dash: "none", points: factors.map((factor, place) => [place + 1, factor]) },
  ];
  if (measured.length) {
    lines.push({
      name: `${run.name}, measured`, kind: "highlighted", color: "var(--highlight)", marks: true, marksOnly: true,
      points: measured.map((point) => [point.depth, point.measured]),
      bars: measured.filter(({ low, high }) => low > 0 && Number.isFinite(high)).map(({ depth, low, high }) => [depth, low, high]),
    });
  }
  byId("prediction-legend").replaceChildren(...lines.map(legendEntry));
  const x = (label) => ({ range: [1, deepest], label, describe: (depth) => `layer ${depth}`, text: (tick) => (Number.isInteger(tick) ? String(tick) : "") });
  drawChart(attenuation.canvas, {
    label: `Predicted attenuation against the number of hidden layers. ${answer} The table below has the numbers.`,
    x: { ...x("number of hidden layers"), describe: (depth) => `${depth} hidden layers` },
    y: { range: rangeOf([...factors, ...measured.map((point) => point.measured), 1], true), log: true },
    lines,
    cursor: network.depth,
    height: 250,
  });
  attenuation.table(() => ({
    head: ["hidden layers", "theory", `${run.name}, measured`],
    rows: Array.from({ length: deepest }, (_, place) => [
      String(place + 1),
      formatNumber(factors[place] ?? null),
      formatNumber(measured.find(({ depth }) => depth === place + 1)?.measured ?? null),
    ]),
  }));
  drawChart(chi.canvas, {
    label: "Predicted χ by hidden layer; at 1 the gradient keeps its size. The table below has the numbers.",
    x: x("hidden layer"),
    y: { range: [0, Math.max(1.2, ...layers.map((layer) => layer.chi).filter(Number.isFinite)) * 1.05] },
    lines: [
      { name: "χ = 1", kind: "other", color: "var(--other)", points: [[1, 1], [deepest, 1]] },
      { name: "χ", kind: "compared", color: "var(--compared-1)", marks: layers.length <= 60, points: layers.map((layer, place) => [place + 1, layer.chi]) },
    ],
    height: 250,
  });
  chi.table(() => ({
    head: ["hidden layer", "q", "χ", "factor per layer"],
    rows: layers.map((layer, place) => [
      String(place + 1), formatNumber(layer.q), formatNumber(layer.chi), place + 1 < layers.length ? formatNumber(layer.hop) : "",
    ]),
  }));
}

function describe(network, layers, factors) {
  const factor = factors[network.depth - 1];
  if (network.depth === 1) return "With one hidden layer there is nothing to shrink. Add layers.";
  if (!Number.isFinite(factor)) {
    return `Before layer ${network.depth} the preactivations grow beyond a variance of ${formatNumber(LARGEST_Q)}, where this page stops: the activations explode.`;
  }
  const word = factor < VANISHED ? "it vanishes" : factor > 1 / VANISHED ? "it explodes" : "it is steady";
  return `With ${network.depth} hidden layers the first one gets ${formatNumber(factor)} of the gradient of the last: ${word}. χ of the last is ${formatNumber(layers[network.depth - 1].chi)}; at 1 the gradient keeps its size.`;
}

/* Attenuation as it was measured: [depth, predicted, measured, low, high]. */
function measuredAttenuations(run) {
  return (run.theory?.attenuation ?? []).map(([depth, , , measured, low, high]) => ({
    depth, measured: numberOf(measured), low: numberOf(low), high: numberOf(high),
  }));
}
