"""What is recorded while a network trains: its gradients, weights and updates at some steps."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vanishing.networks.mlp import weight_layers
from vanishing.stats.fast import (
    EDGES,
    MEASUREMENTS,
    STATISTICS,
    Measured,
    collect,
    describe,
    measure,
)

Columns = dict[str, NDArray[Any]]
_Key = tuple[int, str, str]  # layer_index, layer, tensor


class Trace:
    """Gradients as the optimizer sees them, and norms of weights and updates, by weight layer.

    - `weight_gradient` and `bias_gradient`, dL/dW and dL/db of the batch's mean loss: what
      `magnitudes.describe` says, and their histogram in powers of two; nothing of the latter where
      a layer has no bias
    - `weight`, before the step: `l2_norm`
    - `update`, W_after - W_before: `l2_norm`

    The norms are sums over all elements, accumulated in the tensor's own precision. Everything of
    a step comes from the device at once.
    """

    def __init__(self, network: nn.Module) -> None:
        self._roles: dict[Tensor, _Key] = {}
        for index, (name, layer) in enumerate(weight_layers(network).items()):
            self._roles[layer.weight] = (index, name, "weight_gradient")
            if layer.bias is not None:
                self._roles[layer.bias] = (index, name, "bias_gradient")
        self._gradients = list(self._roles.values())
        self._norms = [
            (index, name, of)
            for index, name, tensor in self._gradients
            if tensor == "weight_gradient"
            for of in ("weight", "update")
        ]
        self._measured: dict[_Key, Measured] = {}  # of the step that is being watched
        self._lengths: dict[_Key, Tensor] = {}
        self._steps: list[int] = []
        self._values: list[NDArray[np.float64]] = []
        self._histograms: list[NDArray[np.int64]] = []  # (filled bins, 3): gradient, bin, count

    def watch(self, parameter: Tensor, gradient: Tensor) -> Callable[[], None]:
        """Measure a gradient, and the weights that it is about to change.

        Returns:
            What to call once they are changed.
        """
        role = self._roles.get(parameter)
        if role is None:  # of batch normalization
            return lambda: None
        index, name, tensor = role
        self._measured[role] = measure(gradient)
        if tensor != "weight_gradient":
            return lambda: None
        before = parameter.detach().clone()

        def after() -> None:
            self._lengths[index, name, "weight"] = _norm(before)
            self._lengths[index, name, "update"] = _norm(before.sub_(parameter.detach()))

        return after

    def read(self, step: int, loss: Tensor) -> tuple[list[dict[str, Any]], float]:
        """Read what was watched from the device, as step number `step` (1 is the first).

        Returns:
            Its rows of `l2_norm`, and the loss.
        """
        gradients = collect([self._measured[key] for key in self._gradients])
        lengths = torch.stack([*(self._lengths[key] for key in self._norms), loss.detach()])
        numbers = torch.cat([gradients.flatten(), lengths.double()]).cpu().numpy()
        split = gradients.numel()
        described = describe(numbers[:split].reshape(-1, MEASUREMENTS))
        norms = numbers[split:-1]
        filled = np.nonzero(described.counts)
        self._steps.append(step)
        self._values.append(np.concatenate([*described.statistics.values(), norms]))
        self._histograms.append(np.stack([*filled, described.counts[filled]], axis=1))
        gradient_norms = described.statistics["l2_norm"]
        named = zip((*self._gradients, *self._norms), (*gradient_norms, *norms), strict=True)
        rows = [
            {"step": step, "layer_index": index, "layer": layer, "tensor": tensor}
            | {"statistic": "l2_norm", "value": float(value)}
            for (index, layer, tensor), value in named
        ]
        return rows, float(numbers[-1])

    def state(self) -> dict[str, Tensor]:
        """Return what was recorded so far, for `restore`."""
        return {
            "steps": torch.tensor(self._steps, dtype=torch.int64),
            "values": torch.from_numpy(np.stack(self._values)),
            "histograms": torch.from_numpy(np.concatenate(self._histograms)),
            "lengths": torch.tensor([len(found) for found in self._histograms]),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self._steps = state["steps"].tolist()
        self._values = list(state["values"].numpy())
        self._histograms = [
            part.numpy() for part in torch.split(state["histograms"], state["lengths"].tolist())
        ]

    def statistics(self) -> Columns:
        """Return the columns of trace.parquet, without `variant` and `seed`."""
        keys = [(*key, name) for name in STATISTICS for key in self._gradients]
        keys += [(*key, "l2_norm") for key in self._norms]
        order = sorted(range(len(keys)), key=lambda i: keys[i][0])  # by layer, else as they are
        index, layer, tensor, statistic = (
            np.tile(column, len(self._steps))
            for column in zip(*(keys[i] for i in order), strict=True)
        )
        return {
            "step": np.repeat(self._steps, len(keys)),
            "layer_index": index,
            "layer": layer,
            "tensor": tensor,
            "statistic": statistic,
            "value": np.stack(self._values)[:, order].flatten(),
        }

    def histograms(self) -> Columns:
        """Return the columns of trace_histograms.parquet, without `variant` and `seed`."""
        gradient, at, count = np.concatenate(self._histograms).T
        index, layer, tensor = (
            np.array(column)[gradient] for column in zip(*self._gradients, strict=True)
        )
        return {
            "step": np.repeat(self._steps, [len(found) for found in self._histograms]),
            "layer_index": index,
            "layer": layer,
            "tensor": tensor,
            "bin_left": EDGES[at, 0],
            "bin_right": EDGES[at, 1],
            "count": count,
        }


def _norm(values: Tensor) -> Tensor:
    flat = values.flatten()
    return torch.dot(flat, flat).sqrt()  # vector_norm takes twice the time
