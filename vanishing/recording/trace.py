"""Statistics of a network's gradients, weights and updates at some steps of its training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vanishing.recording.layers import weight_layers
from vanishing.stats.fast import (
    PACKED_LENGTH,
    STATISTICS,
    Accumulation,
    accumulate,
    pack,
    summarize_packed,
)
from vanishing.stats.histograms import EXPONENT_EDGES

Columns = dict[str, NDArray[Any]]
_Key = tuple[int, str, str]  # layer_index, layer, tensor


class Trace:
    """Gradients as the optimizer gets them, and norms of weights and updates, by weight layer.

    - `weight_gradient` and `bias_gradient`, dL/dW and dL/db of the batch's mean loss: the
      statistics of `stats.fast.summarize_packed`, and the histogram of magnitudes in powers of two;
      no `bias_gradient` where a layer has no bias
    - `weight`, before the step: `l2_norm`
    - `update`, W_before - W_after: `l2_norm`

    The norms are sums over all elements, accumulated in the tensor's own precision. At a traced
    step the optimizer calls `before` and `after` for each parameter, then the training loop calls
    `read`, which copies all values of the step from the device at once.
    """

    def __init__(self, network: nn.Module) -> None:
        self._keys: dict[Tensor, _Key] = {}  # {parameter: key of its gradient}
        for index, (name, layer) in enumerate(weight_layers(network).items()):
            self._keys[layer.weight] = (index, name, "weight_gradient")
            if layer.bias is not None:
                self._keys[layer.bias] = (index, name, "bias_gradient")
        self._gradient_keys = list(self._keys.values())
        self._norm_keys = [
            (index, name, norm)
            for index, name, tensor in self._gradient_keys
            if tensor == "weight_gradient"
            for norm in ("weight", "update")
        ]
        # Of the step that is being traced:
        self._gradients: dict[_Key, Accumulation] = {}
        self._norms: dict[_Key, Tensor] = {}
        self._weights_before: dict[Tensor, Tensor] = {}
        # Of the steps that are traced, in their order:
        self._steps: list[int] = []
        self._values: list[NDArray[np.float64]] = []
        self._histograms: list[NDArray[np.int64]] = []  # (filled bins, 3): gradient, bin, count

    def before(self, parameter: Tensor, gradient: Tensor) -> None:
        """Take the statistics of a gradient, and a copy of the weights that the step changes."""
        key = self._keys.get(parameter)
        if key is None:  # a parameter of batch normalization
            return
        self._gradients[key] = accumulate(gradient)
        if key[2] == "weight_gradient":
            self._weights_before[parameter] = parameter.detach().clone()

    def after(self, parameter: Tensor) -> None:
        """Take the norms of the weights before the step and of their update."""
        weights = self._weights_before.pop(parameter, None)
        if weights is None:  # no weight matrix
            return
        index, name, _ = self._keys[parameter]
        self._norms[index, name, "weight"] = _l2_norm(weights)
        self._norms[index, name, "update"] = _l2_norm(weights.sub_(parameter.detach()))

    def read(self, step: int, loss: Tensor) -> tuple[list[dict[str, Any]], float]:
        """Copy the traced step from the device and keep it, as step number `step` (1 the first).

        Returns:
            The step's rows of `l2_norm`, as in `statistics`, and its loss.
        """
        gradients = pack([self._gradients[key] for key in self._gradient_keys])
        scalars = torch.stack([*(self._norms[key] for key in self._norm_keys), loss.detach()])
        numbers = torch.cat([gradients.flatten(), scalars.double()]).cpu().numpy()
        summary = summarize_packed(numbers[: gradients.numel()].reshape(-1, PACKED_LENGTH))
        norms = numbers[gradients.numel() : -1]
        filled = np.nonzero(summary.counts)
        self._steps.append(step)
        self._values.append(np.concatenate([*summary.statistics.values(), norms]))
        self._histograms.append(np.stack([*filled, summary.counts[filled]], axis=1))
        keys = (*self._gradient_keys, *self._norm_keys)
        values = (*summary.statistics["l2_norm"], *norms)
        rows = [
            {"step": step, "layer_index": index, "layer": layer, "tensor": tensor}
            | {"statistic": "l2_norm", "value": float(value)}
            for (index, layer, tensor), value in zip(keys, values, strict=True)
        ]
        return rows, float(numbers[-1])

    def state(self) -> dict[str, Tensor]:
        """Return all traced steps, for `restore`."""
        return {
            "steps": torch.tensor(self._steps, dtype=torch.int64),
            "values": torch.from_numpy(np.stack(self._values)),
            "histograms": torch.from_numpy(np.concatenate(self._histograms)),
            "lengths": torch.tensor([len(histogram) for histogram in self._histograms]),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Replace all traced steps by those that `state` returned."""
        self._steps = state["steps"].tolist()
        self._values = list(state["values"].numpy())
        histograms = torch.split(state["histograms"], state["lengths"].tolist())
        self._histograms = [histogram.numpy() for histogram in histograms]

    def statistics(self) -> Columns:
        """Return the columns of trace.parquet, without `variant` and `seed`."""
        keys = [(*key, statistic) for statistic in STATISTICS for key in self._gradient_keys]
        keys += [(*key, "l2_norm") for key in self._norm_keys]
        order = sorted(range(len(keys)), key=lambda i: keys[i][0])  # by layer; stable within it
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
        gradient, position, count = np.concatenate(self._histograms).T
        index, layer, tensor = (
            np.array(column)[gradient] for column in zip(*self._gradient_keys, strict=True)
        )
        return {
            "step": np.repeat(self._steps, [len(histogram) for histogram in self._histograms]),
            "layer_index": index,
            "layer": layer,
            "tensor": tensor,
            "bin_left": EXPONENT_EDGES[position, 0],
            "bin_right": EXPONENT_EDGES[position, 1],
            "count": count,
        }


def _l2_norm(values: Tensor) -> Tensor:
    flat = values.flatten()
    return torch.dot(flat, flat).sqrt()  # vector_norm takes twice the time
