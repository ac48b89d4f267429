/* Numbers as the page's data have them, and as people read them. */

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/* JSON has neither NaN nor infinity: they are strings in the data. null is not recorded. */
export function numberOf(value) {
  return value === null || value === undefined ? null : Number(value);
}

export function formatNumber(value) {
  if (value === null) return "not recorded";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(3)));
  const [digits, exponent] = value.toExponential(2).split("e");
  return `${Number(digits)} × ${powerOfTen(Number(exponent))}`;
}

export function powerOfTen(exponent) {
  if (exponent === 0) return "1";
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[digit]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

export function formatShare(value) {
  return Number.isFinite(value) ? `${Number((100 * value).toPrecision(3))} %` : formatNumber(value);
}

/* The place of the last of some ascending steps that is not after a step; 0 if all are. */
export function placeAt(steps, step) {
  let place = 0;
  while (place + 1 < steps.length && steps[place + 1] <= step) place += 1;
  return place;
}
