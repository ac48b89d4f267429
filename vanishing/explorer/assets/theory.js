/* Mean-field theory of a multilayer perceptron at initialisation: vanishing/theory/meanfield.py in
   JavaScript. tests/vanishing/explorer/test_theory.py holds the two to each other. */

const REACH = 12; // standard deviations
const STEPS_PER_UNIT = 8;
export const LARGEST_Q = 1e6; // beyond it the sum is too long for a page that follows a knob

const sigmoid = (z) => 0.5 * (1 + Math.tanh(z / 2));
const sigmoidSlope = (z) => 0.25 * (1 - Math.tanh(z / 2) ** 2);

export const ACTIVATIONS = {
  sigmoid: { value: sigmoid, slope: sigmoidSlope },
  tanh: { value: Math.tanh, slope: (z) => 1 - Math.tanh(z) ** 2 },
  relu: { moments: (q) => [Math.sqrt(q / (2 * Math.PI)), q / 2, 1 / 2] },
  swish: { value: (z) => z * sigmoid(z), slope: (z) => sigmoid(z) + z * sigmoidSlope(z) },
};

export const INITIALISERS = {
  default: (fanIn) => 1 / (3 * fanIn),
  xavier_uniform: (fanIn, fanOut) => 2 / (fanIn + fanOut),
  he_uniform: (fanIn) => 2 / fanIn,
  normal: (fanIn, fanOut, std) => std ** 2,
};

const biasVariance = (fanIn) => 1 / (3 * fanIn);

/* E[φ(z)], E[φ(z)²] and E[φ'(z)²] for z ~ N(0, q), by the trapezoidal rule; NaN where q is too
   large for it. */
export function moments(activation, q) {
  if (activation.moments) return activation.moments(q);
  if (!(q <= LARGEST_Q)) return [NaN, NaN, NaN];
  const scale = Math.sqrt(q);
  const half = Math.ceil(REACH * STEPS_PER_UNIT * Math.max(1, scale));
  let [total, mean, square, slope] = [0, 0, 0, 0];
  for (let place = -half; place <= half; place += 1) {
    const u = (REACH * place) / half;
    const density = Math.exp(-(u ** 2) / 2);
    const phi = activation.value(scale * u);
    total += density;
    mean += density * phi;
    square += density * phi ** 2;
    slope += density * activation.slope(scale * u) ** 2;
  }
  return [mean / total, square / total, slope / total];
}

/* E[z²] of the first layer, of inputs with a mean square. */
export function firstQ(network, inputs) {
  const variance = INITIALISERS[network.init](inputs.count, network.width, network.std);
  return inputs.count * variance * inputs.square + biasVariance(inputs.count);
}

/* {q, chi, slope, hop} of each hidden layer, as `vanishing.predict` has them, and `gain`, σw². */
export function predict(network, inputs, q) {
  const activation = ACTIVATIONS[network.activation];
  const { width, depth } = network;
  const gain = width * INITIALISERS[network.init](width, width, network.std);
  const isResidual = (level) => network.skip && (level > 0 || inputs.count === width);
  const layers = [];
  let [p, m] = [0, 0];
  for (let level = 0; level < depth; level += 1) {
    const previous = layers[level - 1];
    const isFixed = previous && previous.q === q; // q has settled: so have the moments
    const [mean, square, slope] = isFixed ? previous.moments : moments(activation, q);
    layers.push({ q, gain, slope, chi: gain * slope, moments: [mean, square, slope] });
    [p, m] = isResidual(level) ? [p + 2 * m * mean + square, m + mean] : [square, mean];
    q = gain * p + biasVariance(width);
  }
  layers.forEach((layer, level) => {
    const next = layers[level + 1];
    if (!next) layer.hop = NaN;
    else if (!isResidual(level + 1)) layer.hop = Math.sqrt(gain * layer.slope);
    else layer.hop = Math.sqrt(((1 + gain * next.slope) * layer.slope) / next.slope);
  });
  return layers;
}

/* rms(dL/dz) of the first hidden layer over that of the last, of networks of 1, 2, … layers. */
export function attenuations(layers) {
  const factors = [1];
  for (const { hop } of layers.slice(0, -1)) factors.push(factors.at(-1) * hop);
  return factors;
}
