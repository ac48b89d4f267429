"""The entropy of attention: over how many keys each query spreads its weight.

A query with the probabilities p_j, j = 1 … m, of the keys that it may attend to has the entropy
H = -Σ_j p_j ln p_j in nats, between 0 (one key) and ln m (all alike). H / ln m is between 0 and 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_SCORES_AT_ONCE = 2**22  # 16 MiB in float32, whatever the length of a sequence


class Attention(NamedTuple):
    """What the probabilities of `scaled_dot_product_attention` follow from.

    Attributes:
        query: (…, heads, queries, width); of three axes the first is that of the examples, and of
            two there is one example: one head.
        key: (…, heads, keys, width); the number of heads may be a divisor of that of the query.
        mask: Broadcast to (…, heads, queries, keys): True where a key is allowed, or what is added
            to the scores.
        is_causal: Whether query i may attend to the keys up to i alone.
        scale: Of q·k; None for 1 / sqrt(width).
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None = None
    is_causal: bool = False
    scale: float | None = None


def entropy_sums(attention: Attention) -> Tensor:
    """Compute the sums of the entropies of all queries, without a gradient, in parts.

    In float64 where the query is, else in float32: an entropy is that of softmax(scale · q·k +
    mask), before dropout.

    Args:
        attention: One call.

    Returns:
        (heads, 4), float64: see `entropy_sums_of_scores`.
    """
    with torch.no_grad(), torch.autocast(attention.query.device.type, enabled=False):
        mask = attention.mask
        if mask is not None:
            shape = (*attention.query.shape[:-1], attention.key.shape[-2])
            mask = _with_four_axes(mask.expand(shape))
        query, key = _with_four_axes(attention.query), _with_four_axes(attention.key)
        examples, heads, queries, width = query.shape
        keys = key.shape[2]
        scale = width**-0.5 if attention.scale is None else attention.scale
        dtype = torch.promote_types(query.dtype, torch.float32)
        at_once = max(1, _SCORES_AT_ONCE // max(1, heads * keys))  # queries
        step, rows = max(1, at_once // max(1, queries)), min(at_once, queries)
        sums = query.new_zeros(heads, 4, dtype=torch.float64)
        for start in range(0, examples, step):
            part = slice(start, start + step)
            of_part = key[part].to(dtype).repeat_interleave(heads // key.shape[1], dim=1)
            for first in range(0, queries, max(1, rows)):
                some = slice(first, first + rows)
                scores = query[part, :, some].to(dtype) @ of_part.mT * scale
                if mask is not None:
                    scores = _masked(scores, mask[part, :, some])
                if attention.is_causal:
                    index = torch.arange(first, first + scores.shape[2], device=scores.device)
                    later = torch.arange(keys, device=scores.device) > index[:, None]
                    scores = scores.masked_fill(later, -torch.inf)
                sums += entropy_sums_of_scores(scores)
        return sums


def entropy_sums_of_scores(scores: Tensor) -> Tensor:
    """Compute the sums of the entropies of softmax(scores).

    Args:
        scores: (examples, heads, queries, keys), float32 or float64. A key is not allowed where the
            score is -infinity, or beyond half of the least number of its type.

    Returns:
        (heads, 4), float64: ΣH over the queries that may attend to a key, their number,
        ΣH / ln m over those that may attend to m > 1, and their number.
    """
    allowed = (scores > torch.finfo(scores.dtype).min / 2).sum(-1)
    entropies = torch.special.entr(scores.softmax(-1)).sum(-1).double()
    entropies = entropies.where(allowed > 0, 0)
    relative = entropies.where(allowed > 1, 0) / allowed.clamp(min=2).double().log()
    numbers = [entropies, (allowed > 0).double(), relative, (allowed > 1).double()]
    return torch.stack([number.sum((0, 2)) for number in numbers], dim=1)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -torch.inf)
    forbidden = mask <= torch.finfo(mask.dtype).min / 2  # as libraries write -infinity
    return (scores + mask).masked_fill(forbidden, -torch.inf)


def _with_four_axes(values: Tensor) -> Tensor:
    """Return values as (examples, heads, …, …)."""
    if values.dim() < 4:  # noqa: PLR2004 - without an axis of heads
        values = values.unsqueeze(-3)
    return values.unsqueeze(0) if values.dim() == 3 else values.flatten(0, -4)  # noqa: PLR2004
