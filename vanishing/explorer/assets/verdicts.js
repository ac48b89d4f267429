/* Verdicts of the health rules with their reasons, and claims with their evidence. */

import { byId, html } from "./dom.js";
import { formatNumber, numberOf } from "./values.js";
import { lineStyle, ruleWords } from "./views.js";

const SIGNS = { fails: "×", warning: "!", note: "i", fine: "·", undefined: "?", "not applicable": "–" };

/* A cell per run and rule, whose reasons are shown when it is touched. Arrows move between cells. */
export function showRules(data, store) {
  const rules = ruleNames(data);
  const words = rules.map(ruleWords);
  byId("rules-head").append(...words.map((rule) => html("th", { scope: "col" }, html("span", {}, rule))));
  const explain = (run, rule) => {
    const { reasons } = run.rules[rule];
    const parts = [`${run.name}, ${ruleWords(rule)}: ${wordsOf(run.rules[rule])}.`, ...reasons.map((reason) => `${reason}.`)];
    byId("rule-reason").replaceChildren(...parts.map((part) => html("p", {}, part)));
    store.set({ run: run.name, rule });
  };
  const cells = data.runs.map((run) => rules.map((rule) => {
    const judged = run.rules[rule] ?? { mark: "not applicable", verdict: "not applicable" };
    return html("button", {
      type: "button",
      class: `verdict ${judged.mark.replace(" ", "-")}`,
      tabindex: "-1",
      "aria-label": `${run.name}, ${ruleWords(rule)}: ${wordsOf(judged)}`,
      onclick: () => run.rules[rule] && explain(run, rule),
    }, SIGNS[judged.mark]);
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

/* "problem (warning)": a problem has a kind, which is its mark. */
const wordsOf = ({ verdict, mark }) => (verdict === mark ? verdict : `${verdict} (${mark})`);

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
      ["with more seeds", claim.repeated],
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
