"""Single steps of mean-field theory on tensors of second moments, for networks of any shape.

A `State` has E[h²] and E[h] of every element of a tensor, over draws of the weights, for each
example: the inputs are what they are. A step takes states and returns the state of its output.
E[h²] is part of autograd's graph, in which each step says how E[g²] goes back through it, g =
dL/dh: `backward` from the output gives E[g²] of every state. Both hold in the limit of many units.

Sources: Poole et al. (2016) and Schoenholz et al. (2017) for layers and activations; Xiao et al.
(2018) for convolutions; Yang & Schoenholz (2017) for residual connections; Xiong et al. (2020) and
Doshi, He & Gromov (2023) for layer normalization; Chen, Pennington & Schoenholz (2018) for
recurrence with the same weights at each step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vanishing.activations import Activation
from vanishing.theory.meanfield import moments

_GRID = 256  # variances at which expectations are computed; between them they are interpolated
_CENTRED = 1e-6  # |E[h]| / rms(h) up to which a mean is rounding


class NoTheoryError(ValueError):
    """There is no mean-field recursion of a network; the message says of which module, and why."""


@dataclass(frozen=True)
class State:
    """The distribution of a tensor's elements at initialisation.

    Attributes:
        square: E[h²] of each element, of the tensor's shape, float64, in autograd's graph.
        mean: E[h], likewise, in no graph.
        sources: The weight layers on whose outputs an element depends other than through further
            weights. Elements of two states are independent if they have no source in common.
        units: The unit of each element, of the tensor's shape; None where no weights were drawn.
            Elements of one unit, as its positions in an image, are correlated.
        is_gaussian: Whether the elements are normal.
        unknown: Why `square` and `mean` are not known, where they are not: then only gradients pass
            through the state. None where they are known.
    """

    square: Tensor
    mean: Tensor
    sources: frozenset[str] = frozenset()
    units: Tensor | None = None
    is_gaussian: bool = False
    unknown: str | None = None

    def known(self) -> "State":
        """Return the state itself.

        Raises:
            NoTheoryError: If its moments are not known.
        """
        if self.unknown is not None:
            raise NoTheoryError(self.unknown)
        return self


@dataclass(frozen=True)
class Draw:
    """How a layer's weights were drawn.

    Attributes:
        layer: Its name.
        weight: Var(w), E[w²].
        bias: Var(b); 0 without a bias.
    """

    layer: str
    weight: float
    bias: float


class _Passed(torch.autograd.Function):
    """E[h²] ↦ a given tensor; E[g²] on its way back is multiplied by a given factor."""

    @staticmethod
    def forward(ctx: Any, square: Tensor, out: Tensor, factor: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(factor)
        return out.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None, None


def _pass(square: Tensor, out: Tensor, factor: Tensor) -> Tensor:
    passed: Tensor = _Passed.apply(square, out, factor)
    return passed


def constant(values: Tensor) -> State:
    """Return the state of a network's inputs, which no draw of the weights changes."""
    values = values.detach().double()
    return State(values.square().requires_grad_(), values)


def linear(state: State, draw: Draw, outputs: int) -> State:
    """Pass y = W h + b: E[y²] = Σ_i E[h_i²]·Var(w) + Var(b), and E[g_h²] = Var(w)·Σ_j E[g_y,j²].

    E[y] = 0, and y is independent of h over the draw of W (Poole et al. 2016, eq. 3; for gradients
    Schoenholz et al. 2017).

    Args:
        state: (…, inputs).
        draw: Of W and b.
        outputs: The number of outputs.

    Returns:
        The state of y, (…, outputs).
    """
    square = state.square.sum(-1, keepdim=True) * draw.weight + draw.bias
    return _fresh(square.expand(*square.shape[:-1], outputs), -1, draw, state)


def convolve(state: State, draw: Draw, module: "nn.Conv1d | nn.Conv2d | nn.Conv3d") -> State:
    """Pass a convolution: E[y(x)²] = Var(w)·Σ_(taps, channels) E[h(x + tap)²] + Var(b).

    Positions are not averaged: padding and stride are exact. E[g_h²] is the transposed sum, as the
    weights of two taps are independent (Xiao et al. 2018).

    Args:
        state: (batch, channels, …).
        draw: Of W and b.
        module: The convolution: its kernel, stride, padding, dilation and groups.

    Returns:
        The state of y, (batch, out channels, …).
    """
    square, shape = state.square, module.weight.shape
    if module.groups == 1:  # all channels in one: their sum is what each output sees
        square, shape = square.sum(1, keepdim=True), torch.Size((1, 1, *shape[2:]))
    kernel = torch.full(shape, draw.weight, dtype=square.dtype)
    out = module._conv_forward(square, kernel, None) + draw.bias  # with the module's padding
    return _fresh(out.expand(out.shape[0], module.out_channels, *out.shape[2:]), 1, draw, state)


def _fresh(square: Tensor, axis: int, draw: Draw, before: State) -> State:
    """Return the state of what weights made; `axis` is that of the units."""
    mean = square.new_zeros(()).expand(square.shape)
    units = torch.arange(square.shape[axis]).expand(square.movedim(axis, -1).shape)
    sources = frozenset({draw.layer})
    return State(square, mean, sources, units.movedim(-1, axis), True, before.unknown)


def activate(state: State, activation: Activation) -> State:
    """Pass φ(z), z ~ N(0, q): E[φ], E[φ²], and E[g_z²] = E[φ'(z)²]·E[g_φ²].

    φ' is taken as independent of the gradient from above (Schoenholz et al. 2017).

    Args:
        state: Of z.
        activation: φ.

    Returns:
        The state of φ(z).

    Raises:
        NoTheoryError: If z is not normal around zero.
    """
    state.known()
    spread = state.square.detach().sqrt()
    if not state.is_gaussian:
        raise NoTheoryError("its argument is not normal, or is the network's input")
    if bool((state.mean.abs() > _CENTRED * spread).any()):
        raise NoTheoryError("its argument has another mean than zero")
    mean, square, slope = expectations(activation, state.square.detach())
    passed = _pass(state.square, square, slope)
    return replace(state, square=passed, mean=mean, is_gaussian=False)


def expectations(activation: Activation, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute E[φ(z)], E[φ(z)²] and E[φ'(z)²], z ~ N(0, q), for each element of q.

    Of more than 256 different variances they are interpolated, linearly in ln q, between 256: the
    relative error is below 1e-4 for variances that differ by a factor of 100. At q = 0 they are
    those of z = 0.

    Args:
        activation: φ.
        q: Variances, of any shape.

    Returns:
        The three, of the shape of q.

    Raises:
        NoTheoryError: If a variance is not finite.
    """
    different = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in q.stride())
    core = q[different]  # what is expanded is the same along that axis
    values, places = np.unique(core.numpy().ravel(), return_inverse=True)
    if not np.isfinite(values).all():
        raise NoTheoryError("the variance of its argument is not finite")
    table = _table(activation, values)[places]
    mean, square, slope = (
        torch.from_numpy(column.copy()).reshape(core.shape).expand(q.shape) for column in table.T
    )
    return mean, square, slope


def _table(activation: Activation, values: np.ndarray) -> np.ndarray:
    """Return the three expectations, (variances, 3), for variances that increase."""
    positive = values[values > 0]
    zero = np.zeros(1)
    phi, slope = float(activation.function(zero)[0]), float(activation.derivative(zero)[0])
    at_zero = np.tile([phi, phi**2, slope**2], (len(values) - len(positive), 1))
    if len(positive) <= _GRID:
        exact = [moments(activation, float(q)) for q in positive]
        return np.concatenate([at_zero, np.reshape(exact, (-1, 3))])
    grid = np.geomspace(positive[0], positive[-1], _GRID)
    computed = np.array([moments(activation, float(q)) for q in grid])
    columns = [
        np.interp(np.log(positive), np.log(grid), column) for column in np.transpose(computed)
    ]
    return np.concatenate([at_zero, np.stack(columns, axis=1)])


def add(left: State, right: State, sign: int = 1) -> State:
    """Pass h = a ± b: E[h²] = E[a²] + E[b²] ± 2·E[a]·E[b]; E[g²] goes back to both as it is.

    This needs elements of a and b to be independent, and the gradients that both bring back to
    where they came from to be uncorrelated. Both hold if the branch ends in weights of its own, or
    in an activation of these (Yang & Schoenholz 2017, section 3).

    Args:
        left: Of a.
        right: Of b, of the same shape.
        sign: -1 for a - b.

    Returns:
        The state of h.

    Raises:
        NoTheoryError: If a and b depend on the same weights, or have different shapes.
    """
    if left.square.shape != right.square.shape:
        raise NoTheoryError("it adds tensors of different shapes")
    if shared := left.sources & right.sources:
        raise NoTheoryError(f"it adds two functions of the output of {sorted(shared)[0]}")
    return State(
        left.square + right.square + 2 * sign * left.mean * right.mean,
        left.mean + sign * right.mean,
        left.sources | right.sources,
        right.units if left.units is None else left.units,
        left.is_gaussian and right.is_gaussian,
        left.unknown or right.unknown,
    )


def shift(state: State, offset: float) -> State:
    """Pass h + c."""
    square = state.square + 2 * offset * state.mean + offset**2
    return replace(state, square=square, mean=state.mean + offset)


def scale(state: State, factor: float) -> State:
    """Pass c·h: E[g_h²] = c²·E[g²]."""
    return replace(state, square=factor**2 * state.square, mean=factor * state.mean)


def normalize(state: State, module: nn.LayerNorm) -> State:
    """Pass γ·(h - μ) / s + β with μ = E[h] and s² = E[h²] - μ² + ε, means over the units.

    The Jacobian is γ/s times the projection that leaves out the directions of 1 and of h - μ. In
    many units a gradient that is independent of these has next to nothing there: E[g_h²] =
    γ²·E[g²] / s² (Xiong et al. 2020; Doshi et al. 2023).

    Args:
        state: Of h, the units last.
        module: The layer normalization.

    Returns:
        The state of its output.

    Raises:
        NoTheoryError: If it normalizes elements of one unit, such as the positions of a channel.
    """
    state.known()
    axes = tuple(range(-len(module.normalized_shape), 0))
    if state.units is not None:
        units = state.units.flatten(axes[0])  # (…, elements that are normalized together)
        if units.shape[-1] > 1 and bool((units == units[..., :1]).all()):
            raise NoTheoryError("it normalizes over positions, whose correlations are not followed")
    mean, square = state.mean, state.square.detach()
    centre = mean.mean(axes, keepdim=True)
    variance = square.mean(axes, keepdim=True) - centre**2 + module.eps
    gain = torch.ones(()) if module.weight is None else module.weight.detach()
    offset = torch.zeros(()) if module.bias is None else module.bias.detach()
    gain, offset = gain.double(), offset.double()
    out_mean = (mean - centre) / variance.sqrt()
    out_square = (square - 2 * centre * mean + centre**2) / variance
    out_square = gain**2 * out_square + 2 * gain * offset * out_mean + offset**2
    passed = _pass(state.square, out_square, (gain**2 / variance).expand(square.shape))
    return replace(state, square=passed, mean=gain * out_mean + offset)


def average(state: State, mean: Callable[[Tensor], Tensor], count: int, reason: str) -> State:
    """Pass the mean of n elements, each of which is in one mean: g_h = g / n.

    E[h²] of the mean depends on correlations between the elements, which are not followed.

    Args:
        state: Of the elements.
        mean: Computes the means.
        count: n.
        reason: Why E[h²] is not known.

    Returns:
        The state of the means, whose moments are not known.
    """
    square = mean(state.square) / count  # as of independent elements; its gradient is exact
    return State(square, mean(state.mean), state.sources, unknown=reason)


def rearrange(states: Sequence[State], move: Callable[[Sequence[Tensor]], Any]) -> Any:
    """Pass what only moves, selects, joins or pads with zeros: each element keeps its moments.

    Args:
        states: That go in.
        move: Does so with tensors of their shapes; returns a tensor, or several.

    Returns:
        The state, or a tuple of states.
    """
    squares, means = move([state.square for state in states]), move([s.mean for s in states])
    units = move([_units(state) for state in states])
    sources = frozenset[str]().union(*(state.sources for state in states))
    is_gaussian = all(state.is_gaussian for state in states)
    unknown = next((state.unknown for state in states if state.unknown), None)
    if isinstance(squares, Tensor):
        return State(squares, means, sources, units if sources else None, is_gaussian, unknown)
    return tuple(
        State(square, mean, sources, unit if sources else None, is_gaussian, unknown)
        for square, mean, unit in zip(squares, means, units, strict=True)
    )


def _units(state: State) -> Tensor:
    unit = torch.zeros((), dtype=torch.int64).expand(state.square.shape)
    return unit if state.units is None else state.units


def recur(
    inputs: Sequence[State], activation: Activation, draws: Sequence[Draw], units: int
) -> list[State]:
    """Pass h_t = φ(W x_t + U h_(t-1) + b) from h_0 = 0, with the same W, U and b at each t.

    q_t = Var(w)·Σ E[x_t²] + N·Var(u)·E[h_(t-1)²] + Var(b) for N units, and E[g_(t-1)²] gets
    N·Var(u)·E[φ'(z_t)²]·E[g_t²] from the step after. These are those of weights drawn anew at each
    step; in many units the same weights give the same (Chen et al. 2018).

    Args:
        inputs: Of x_t, (batch, features), by time.
        activation: φ.
        draws: Of W and its bias, and of U and its own.
        units: N.

    Returns:
        The states of h_t, (batch, units), by time.
    """
    weights, recurrent = draws
    states: list[State] = []
    for x in inputs:
        z = linear(x, weights, units)
        if states:
            z = add(z, linear(states[-1], recurrent, units))
        else:
            z = replace(z, square=z.square + recurrent.bias)  # h_0 = 0, but the bias is added
        states.append(activate(z, activation))
    return states


def spread(draws: int) -> float:
    """Return the standard deviation of a mean of `draws` squares of normal numbers around 1."""
    return math.sqrt(2 / draws)
