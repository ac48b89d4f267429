"""The gradient through time of `nn.RNN`, `nn.LSTM` and `nn.GRU`: dL/dh_t at each time step t.

These modules compute a whole sequence in one call, within which autograd shows no state. A twin
repeats the call step by step, with the same weights and inputs, and takes the gradient of the
call's outputs back through it. dL/dh_t is the total derivative: by the output at t, by the next
state, and by the layer above.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

State = Tensor | tuple[Tensor, Tensor]  # h, or (h, c) of an LSTM


class Call(NamedTuple):
    """A call of a recurrent module.

    Attributes:
        inputs: As the module was given them: (time, batch, features), (batch, time, features) with
            `batch_first`, or (time, features).
        state: The first state as it was given; None for zeros.
        weights: {name: weight} as they were; an optimizer changes those of the module.
    """

    inputs: Tensor
    state: State | None
    weights: Mapping[str, Tensor]


def record_call(
    module: nn.RNNBase, inputs: Sequence[Any], options: Mapping[str, Any]
) -> Call | None:
    """Keep what a call can be repeated from.

    Args:
        module: That was called.
        inputs: The arguments of the call.
        options: Its named arguments.

    Returns:
        The call; None if it cannot be repeated: with dropout between layers, which would be drawn
        anew, with `proj_size`, and of packed sequences.
    """
    arguments = dict(zip(("input", "hx"), inputs, strict=False)) | dict(options)
    sequence, state = arguments["input"], arguments.get("hx")
    drops = module.dropout > 0 and module.num_layers > 1 and module.training
    if drops or module.proj_size > 0 or not isinstance(sequence, Tensor):
        return None
    weights = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    return Call(sequence.detach(), state, weights)


def gradients_through_time(
    module: nn.RNNBase, call: Call, gradients: Sequence[Tensor | None]
) -> dict[str, Tensor]:
    """Compute dL/dh_t, and for an LSTM dL/dc_t, of each layer and direction at each time step.

    Args:
        module: That was called.
        call: The call, as from `record_call`.
        gradients: dL/d output, dL/dh_n, and for an LSTM dL/dc_n, of the shapes of what the call
            returned; None where no gradient came.

    Returns:
        {`hidden_gradient_l0`, `cell_gradient_l0_reverse`, …: (time, batch, units)}, named as
        PyTorch names the weights of the layer and direction. t is the place in the sequence: in the
        reverse direction the first state to be computed is the last one.
    """
    with torch.enable_grad():
        return _Unrolled(module, call).gradients(gradients)


class _Unrolled:
    """The repeated call of a module, step by step."""

    def __init__(self, module: nn.RNNBase, call: Call) -> None:
        self._module = module
        self._cell = _cell(module)
        self._call = call
        self._is_lstm = isinstance(module, nn.LSTM)
        self._states: dict[str, list[tuple[Tensor, ...]]] = {}  # by layer and direction, and time
        self._batched = call.inputs.dim() == 3  # noqa: PLR2004 - time, batch, features
        self._last: list[tuple[Tensor, ...]] = []  # the last state of each layer and direction
        self._output = self._run()

    def gradients(self, given: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Return the gradients of the states, from those of what the call returned."""
        outputs, gradients = [], []
        of_output, *of_states = given
        if of_output is not None:
            outputs.append(self._output)
            gradients.append(self._time_first(of_output))
        for index, gradient in enumerate(of_states):
            if gradient is not None:
                outputs.append(torch.stack([state[index] for state in self._last]))
                gradients.append(gradient if self._batched else gradient.unsqueeze(1))
        names = [
            (f"{kind}_gradient{suffix}", [state[index] for state in states])
            for suffix, states in self._states.items()
            for index, kind in enumerate(("hidden", "cell")[: 1 + self._is_lstm])
        ]
        states = [state for _, group in names for state in group]
        taken = torch.autograd.grad(outputs, states, gradients, allow_unused=True)
        by_state = iter(taken)
        return {
            name: torch.stack([_or_zeros(next(by_state), state) for state in group])
            for name, group in names
        }

    def _run(self) -> Tensor:
        """Compute all states; return the output, (time, batch, directions * units)."""
        x = self._time_first(self._call.inputs)
        first = self._first_states(x)
        for layer in range(self._module.num_layers):
            outputs = []
            for suffix in [f"_l{layer}", *([f"_l{layer}_reverse"] * self._module.bidirectional)]:
                states = self._run_layer(suffix, x, first[len(self._last)])
                self._states[suffix] = states
                self._last.append(states[0] if suffix.endswith("reverse") else states[-1])
                outputs.append(torch.stack([state[0] for state in states]))
            x = torch.cat(outputs, dim=2)
        return x

    def _run_layer(
        self, suffix: str, x: Tensor, state: tuple[Tensor, ...]
    ) -> list[tuple[Tensor, ...]]:
        """Compute the states of one layer and direction, in the order of the sequence."""
        weights = [
            self._call.weights.get(f"{name}{suffix}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        states = []
        is_reverse = suffix.endswith("reverse")
        for inputs in reversed(x) if is_reverse else x:
            state = self._cell(inputs, state, weights)
            states.append(state)
        return states[::-1] if is_reverse else states

    def _first_states(self, x: Tensor) -> list[tuple[Tensor, ...]]:
        """Return the first state of each layer and direction; the graph of the others begins there.

        Args:
            x: (time, batch, features).
        """
        count = self._module.num_layers * (1 + self._module.bidirectional)
        given = self._call.state
        if given is None:
            zeros = x.new_zeros(count, x.shape[1], self._module.hidden_size)
            parts: tuple[Tensor, ...] = (zeros,) * (1 + self._is_lstm)
        else:
            parts = given if isinstance(given, tuple) else (given,)
            parts = tuple(part if self._batched else part.unsqueeze(1) for part in parts)
        fresh = [part.detach().clone().requires_grad_() for part in parts]
        return list(zip(*(part.unbind(0) for part in fresh), strict=True))

    def _time_first(self, values: Tensor) -> Tensor:
        """Return a sequence as (time, batch, features)."""
        if not self._batched:
            return values.unsqueeze(1)
        return values.transpose(0, 1) if self._module.batch_first else values


# Takes the inputs, the state, (h,) or (h, c), and the weights; returns the next state.
_Cell = Callable[[Tensor, tuple[Tensor, ...], Sequence[Any]], tuple[Tensor, ...]]


def _cell(module: nn.RNNBase) -> _Cell:
    if isinstance(module, nn.LSTM):
        return lambda x, state, weights: torch.lstm_cell(x, state, *weights)
    functions = {"GRU": torch.gru_cell, "RNN_TANH": torch.rnn_tanh_cell}
    function = functions.get(module.mode, torch.rnn_relu_cell)
    return lambda x, state, weights: (function(x, state[0], *weights),)


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient
