/* The page: reads its data, makes the store, and sets up every view. */

import { byId, html, options } from "./dom.js";
import { choice, choices, createStore, number } from "./state.js";
import { placeAt } from "./values.js";
import { knobFields, showPredictor } from "./predictor.js";
import { showHistogram, showHops } from "./layers.js";
import { ruleNames, showClaims, showRules } from "./verdicts.js";
import { curveKeys, momentText, showCurves, showDepth, showRuns } from "./views.js";

const PAUSE_MS = 400; // between two moments, while they play

const data = JSON.parse(byId("data").textContent);
const names = data.runs.map(({ name }) => name);
const inputs = data.inputs ?? { count: 784, square: 1 };
const timeline = momentsOf(data);
const fields = {
  run: choice(names[0], names),
  with: choices(names.slice(1, 3), names),
  step: number(timeline[0], 0, Number.MAX_SAFE_INTEGER),
  layer: number(0, 0, Math.max(0, ...data.runs.map(({ layers }) => layers.length - 1))),
  gradient: quantityField("gradient"),
  activation: quantityField("activation"),
  curve: choice(curveKeys(data)[0] ?? "", curveKeys(data)),
  rule: choice("", ["", ...ruleNames(data)]),
  ...knobFields(data.runs[0].network, inputs),
};
const store = createStore(fields);

function momentsOf({ runs }) {
  const steps = new Set();
  for (const run of runs) {
    for (const recorded of [...Object.values(run.series), ...Object.values(run.histograms)]) {
      recorded.steps.forEach((step) => steps.add(step));
    }
  }
  return steps.size ? [...steps].sort((a, b) => a - b) : [0];
}

function quantityField(chart) {
  const keys = data.quantities
    .filter((quantity) => quantity.chart === chart && data.runs.some((run) => run.series[quantity.key]))
    .map(({ key }) => key);
  return choice(keys[0] ?? "", keys);
}

function showControls() {
  const [run, layer, slider, play] = ["run", "layer", "moment", "play"].map(byId);
  options(run, names.map((name) => [name, name]));
  run.addEventListener("change", () => store.set({ run: run.value }));
  layer.addEventListener("change", () => store.set({ layer: Number(layer.value) }));
  slider.max = timeline.length - 1;
  slider.addEventListener("input", () => store.set({ step: timeline[slider.value] }));
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  const advance = () => {
    const next = timeline[placeAt(timeline, store.state.step) + 1];
    if (next === undefined) stop();
    else store.set({ step: next });
  };
  play.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    if (store.state.step >= timeline.at(-1)) store.set({ step: timeline[0] });
    timer = setInterval(advance, PAUSE_MS);
    play.textContent = "Pause";
  });
  let layersOf = null;
  store.follow((state) => {
    const highlighted = data.runs.find(({ name }) => name === state.run);
    if (layersOf !== highlighted) {
      layersOf = highlighted;
      options(layer, highlighted.layers.map((name, place) => [place, `${place + 1}: ${name}`]));
    }
    run.value = state.run;
    const place = Math.min(state.layer, highlighted.layers.length - 1);
    layer.value = place;
    slider.value = placeAt(timeline, state.step);
    const text = momentText(highlighted, timeline[slider.value]);
    slider.setAttribute("aria-valuetext", text);
    byId("moment-text").textContent = text;
    const name = highlighted.layers[state.layer];
    byId("layer-name").textContent = name === undefined
      ? `Layer ${state.layer + 1}, which ${state.run} does not have`
      : `Layer ${state.layer + 1} of ${highlighted.layers.length}: ${name}`;
  });
}

function showFindings() {
  byId("findings").append(...data.findings.map((sentence) => html("li", {}, sentence)));
}

showFindings();
showControls();
showRuns(data, store);
const draws = [
  showDepth(data, store, "gradient"),
  showDepth(data, store, "activation"),
  store.state.gradient && showHistogram(data, store, "gradient"),
  store.state.activation && showHistogram(data, store, "activation"),
  showHops(data, store),
  showCurves(data, store, timeline),
  showPredictor(data, store, fields),
].filter(Boolean);
showRules(data, store);
showClaims(data);
const redraw = () => draws.forEach((draw) => draw(store.state));
let pending = null;
window.addEventListener("resize", () => {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(redraw);
});
window.addEventListener("beforeprint", redraw);
document.documentElement.dataset.ready = Math.round(performance.now()); // ms after it was opened
