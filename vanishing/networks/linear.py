"""A linear layer whose matrix products are those of the faster library.

PyTorch gives products of float32 matrices on a CPU to MKL, which is slow on some processors;
oneDNN, which PyTorch ships too, is faster there (docs/decisions/0008). On a GPU it gives product
and bias to one kernel of cuBLASLt, which takes three times as long as a product and an addition
(docs/decisions/0016). All round differently, within float32. Elsewhere the layer computes as
`torch.nn.Linear` does.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

_AVAILABLE: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return left · rightᵀ + bias."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return out


class _Linear(torch.autograd.Function):
    """y = x Wᵀ + b, with dL/dx = dL/dy W, dL/dW = dL/dyᵀ x and dL/db = Σ dL/dy over examples."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        x_gradient = _product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        return x_gradient, _product(gradient.t(), x.t()), gradient.sum(0)


class Linear(nn.Linear):
    """`torch.nn.Linear` with a bias; see the module.

    Its parameters are not initialised: `mlp.build` draws them from a generator, and a snapshot
    replaces them.
    """

    def reset_parameters(self) -> None:
        """Draw nothing from the global generator."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch.nn.Linear
        """Return x Wᵀ + b, (batch, in_features) -> (batch, out_features)."""
        float32 = input.dtype == self.weight.dtype == torch.float32
        mixed = torch.is_autocast_enabled(input.device.type)
        if float32 and not mixed and input.dim() == 2:  # noqa: PLR2004
            if _AVAILABLE and input.device.type == "cpu":
                out: Tensor = _Linear.apply(input, self.weight, self.bias)
                return out
            if input.device.type == "cuda":
                return input @ self.weight.t() + self.bias
        return linear(input, self.weight, self.bias)
