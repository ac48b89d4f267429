"""What is done to a network between its construction and its training."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Alteration:
    """One change of a network.

    Attributes:
        kind: A key of ALTERATIONS.
        layer: The module that it changes, with those within; the whole network if empty.
        value: A factor or a constant, where the kind has one.
    """

    kind: str
    layer: str = ""
    value: float = 0.0


def alter(network: nn.Module, alteration: Alteration) -> None:
    """Change the network in place."""
    module = network.get_submodule(alteration.layer)
    with torch.no_grad():
        ALTERATIONS[alteration.kind](module, alteration.value)


def _weights(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the matrices and kernels, no biases and no vectors of a normalization."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            yield parameter


def _scale(module: nn.Module, factor: float) -> None:
    for weight in _weights(module):
        weight.mul_(factor)


def _fill(module: nn.Module, value: float) -> None:
    """Give all weights one value: the units of a layer differ in their biases alone."""
    for weight in _weights(module):
        weight.fill_(value)


def _bias(module: nn.Module, value: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None:
            part.bias.fill_(value)


def _freeze(module: nn.Module, _value: float) -> None:
    module.requires_grad_(False)


def _freeze_but_head(module: nn.Module, _value: float) -> None:
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.startswith("head."))


def _detach(module: nn.Module, _value: float) -> None:
    module.register_forward_hook(_detached)


def _detached(_module: nn.Module, _inputs: Any, outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    return outputs[0].detach(), *outputs[1:]  # of a recurrent layer, whose states are not read


def _keep_statistics(module: nn.Module, _value: float) -> None:
    """Let batch normalization use its running statistics in training, which stay at 0 and 1."""
    for part in _batch_norms(module):
        part.register_forward_pre_hook(_evaluate)


def _mistake_statistics(module: nn.Module, value: float) -> None:
    """The same with statistics of other data: the mean `value`, the standard deviation too."""
    for part in _batch_norms(module):
        assert part.running_mean is not None  # noqa: S101 - none of these networks goes without
        assert part.running_var is not None  # noqa: S101
        part.running_mean.fill_(value)
        part.running_var.fill_(value**2)
    _keep_statistics(module, value)


def _forget_statistics(module: nn.Module, _value: float) -> None:
    """Train with the statistics of the batch, and never update those that the test uses."""
    for part in _batch_norms(module):
        part.momentum = 0.0


def _evaluate(module: nn.Module, _inputs: Any) -> None:
    module.eval()


def _batch_norms(module: nn.Module) -> Iterator[nn.BatchNorm1d | nn.BatchNorm2d]:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            yield part


ALTERATIONS: Mapping[str, Callable[[nn.Module, float], None]] = {
    "scale": _scale,
    "fill": _fill,
    "bias": _bias,
    "freeze": _freeze,
    "freeze-but-head": _freeze_but_head,
    "detach": _detach,
    "keep-statistics": _keep_statistics,
    "mistake-statistics": _mistake_statistics,
    "forget-statistics": _forget_statistics,
}
