"""Which kind of factor an operation of the autograd graph is, or a module as a whole."""

import re

from torch import nn
from torch.nn.modules import activation as activations
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.loss import _Loss

from vanishing.explaining.graph import Node
from vanishing.results.factors import (
    ACTIVATION,
    ATTENTION,
    DROPOUT,
    LOSS,
    NORMALISATION,
    OTHER,
    POOLING,
    PRODUCT,
    RECURRENT,
    SCALING,
    SELECTION,
    WEIGHTS,
)

# By the name of the backward function, without `Backward` and its number. An operation that moves
# values and changes none is a rearrangement: its factor is 1.
_REARRANGEMENTS = frozenset(
    [
        *("Alias", "Clone", "Contiguous", "Copy", "Detach", "Expand", "Movedim"),
        *("Permute", "Reshape", "ReshapeAlias", "Squeeze", "Swapaxes", "T", "ToCopy"),
        *("Transpose", "UnsafeView", "Unsqueeze", "View", "Unflatten", "Flatten"),
        *("AsStrided", "Add", "Sub", "BackwardHookFunction"),
    ]
)
_PREFIXES = {
    ATTENTION: ("ScaledDotProduct", "EfficientAttention", "FlashAttention"),
    NORMALISATION: (
        *("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "BatchNorm"),
        *("NativeLayerNorm", "NativeGroupNorm", "FusedRmsNorm", "RmsNorm", "LinalgVectorNorm"),
    ),
    RECURRENT: ("MkldnnRnn", "CudnnRnn", "MiopenRnn", "ThnnFused"),
    WEIGHTS: ("Embedding", "Convolution", "MkldnnConvolution", "CudnnConvolution", "SlowConv"),
    ACTIVATION: (
        *("Sigmoid", "Tanh", "Relu", "Relu6", "Gelu", "Silu", "Softmax", "LogSoftmax", "Softplus"),
        *("Elu", "Celu", "LeakyRelu", "Hardtanh", "Hardsigmoid", "Hardswish", "Mish", "Prelu"),
        *("Rrelu", "Threshold", "Glu", "LogSigmoid", "Exp", "Erf", "Sin", "Cos", "Clamp", "Log"),
    ),
    POOLING: (
        *("MaxPool", "AvgPool", "Adaptive", "Upsample", "Mean", "Sum", "Amax", "Max", "Mkldnn"),
        *("Cumsum", "Logsumexp", "FractionalMaxPool"),
    ),
    SELECTION: (
        *("Slice", "Select", "Index", "Gather", "ConstantPad", "Reflection", "Replication", "Cat"),
        *("Stack", "Split", "Chunk", "Unbind", "Narrow", "Pad", "Repeat", "Roll", "MaskedFill"),
        *("Where", "CopySlices", "Flip", "Triu", "Tril", "Unfold", "PixelShuffle"),
    ),
    DROPOUT: ("NativeDropout", "FusedDropout"),
    LOSS: (
        *("NllLoss", "BinaryCrossEntropy", "MseLoss", "SmoothL1Loss", "HuberLoss", "KlDiv"),
        *("CtcLoss", "CrossEntropyLoss", "SoftMarginLoss", "L1Loss"),
    ),
    SCALING: ("Mul", "Div", "Neg", "Pow", "Sqrt", "Rsqrt", "Abs", "Reciprocal"),
}
_MATRIX_PRODUCTS = frozenset(
    [
        *("Addmm", "Mm", "Addmv", "Mv", "Bmm", "Baddbmm", "Addbmm", "Linear"),
        *("Matmul", "Dot"),
    ]
)
_EXACT = {name: kind for kind, names in _PREFIXES.items() for name in names}
_ACTIVATION_NAMES = re.compile(r"(Activation|GELU|SiLU|Swish|Mish)$")


def operation(node: Node) -> str:
    """Return the name of an operation, as `Addmm`, `Sigmoid` or `Add`."""
    return str(node.name()).rpartition("::")[2].partition("Backward")[0] or str(node.name())


def is_rearrangement(node: Node) -> bool:
    """Tell whether an operation passes every gradient on unchanged, on one path."""
    return operation(node) in _REARRANGEMENTS


def kind_of(node: Node, has_weight: bool) -> str:
    """Return the kind of an operation.

    Args:
        node: The operation.
        has_weight: Whether it multiplies by a parameter.

    Returns:
        A key of `results.factors.KINDS`.
    """
    name = operation(node)
    if name in _MATRIX_PRODUCTS:
        return WEIGHTS if has_weight else PRODUCT
    if name in _EXACT:
        return _EXACT[name]
    if name in _REARRANGEMENTS:
        return SELECTION
    kinds = (kind for kind, starts in _PREFIXES.items() if name.startswith(starts))
    # An autograd function of somebody's own that takes a matrix of parameters is a layer's product.
    return next(kinds, WEIGHTS if has_weight else OTHER)


def kind_of_module(module: nn.Module | None) -> str | None:
    """Return the kind of a module that is one factor as a whole, whatever it computes.

    That is one without modules in it which normalises, activates, drops or is recurrent; of those
    that are not torch's own the name of the class tells: `LlamaRMSNorm`, `NewGELUActivation`.

    Returns:
        The kind; None of any other module.
    """
    if module is None or next(module.children(), None) is not None:
        return None
    name = type(module).__name__
    if isinstance(module, nn.RNNBase):
        return RECURRENT
    if isinstance(module, _DropoutNd):
        return DROPOUT
    if isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm) or "Norm" in name:
        return NORMALISATION
    is_torch = type(module).__module__ == activations.__name__
    is_activation = is_torch and not isinstance(module, nn.MultiheadAttention)
    return ACTIVATION if is_activation or _ACTIVATION_NAMES.search(name) else None


def is_loss(module: nn.Module) -> bool:
    """Tell whether a module is one of torch's losses."""
    return isinstance(module, _Loss)
