"""The entropy of attention, beside one that is computed by hand."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vanishing.stats import attention
from vanishing.stats.attention import Attention, entropy_sums

MASKS = {
    "none": None,
    "allowed": torch.rand(5, 7, generator=torch.Generator().manual_seed(1)) > 0.4,
    "per example": torch.rand(3, 1, 5, 7, generator=torch.Generator().manual_seed(2)) > 0.4,
    "added": torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64),
    "least": torch.full((5, 7), torch.finfo(torch.float64).min, dtype=torch.float64).triu(2),
    "nothing for query 2": (torch.arange(5) != 2)[:, None].expand(5, 7),
}


def tensors(*shape: int) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64
    )


def by_hand(query: Tensor, key: Tensor, allowed: Tensor, added: Tensor, scale: float) -> Tensor:
    """Sum up as the definition says, query by query; (heads, 4)."""
    examples, heads, queries, _ = query.shape
    sums = torch.zeros(heads, 4, dtype=torch.float64)
    for example in range(examples):
        for head in range(heads):
            shared = head * key.shape[1] // heads  # the head of the keys
            for i in range(queries):
                weights = []
                for j in range(key.shape[2]):
                    if allowed[example, head, i, j]:
                        score = scale * query[example, head, i] @ key[example, shared, j]
                        weights.append(math.exp(score + added[example, head, i, j]))
                if weights:
                    p = [weight / sum(weights) for weight in weights]
                    entropy = -sum(share * math.log(share) for share in p)
                    sums[head, 0] += entropy
                    sums[head, 1] += 1
                    if len(p) > 1:
                        sums[head, 2] += entropy / math.log(len(p))
                        sums[head, 3] += 1
    return sums


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("at_once", [1, 50, 2**22])
@pytest.mark.parametrize(("key_heads", "scale"), [(4, None), (2, 0.3)])
def test_it_is_that_of_the_definition(
    mask: str, at_once: int, key_heads: int, scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
    query, key = tensors(3, 4, 5, 6), tensors(3, key_heads, 7, 6)
    given = MASKS[mask]
    allowed, added = torch.ones(3, 4, 5, 7, dtype=torch.bool), torch.zeros(3, 4, 5, 7)
    if given is not None and given.dtype == torch.bool:
        allowed = given.expand(3, 4, 5, 7)
    elif given is not None:
        allowed, added = (given > -1e300).expand(3, 4, 5, 7), given.expand(3, 4, 5, 7)
    expected = by_hand(query, key, allowed, added, scale or 6**-0.5)
    actual = entropy_sums(Attention(query, key, given, scale=scale))
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("at_once", [1, 30, 2**22])
def test_causal_attention_sees_no_later_key(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
    query, key = tensors(3, 4, 5, 6), tensors(3, 4, 7, 6)
    allowed = torch.ones(5, 7).tril().bool().expand(3, 4, 5, 7)
    expected = by_hand(query, key, allowed, torch.zeros(3, 4, 5, 7), 6**-0.5)
    actual = entropy_sums(Attention(query, key, is_causal=True))
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    assert actual[:, 1].tolist() == [15] * 4
    assert actual[:, 3].tolist() == [12] * 4  # the first query has one key


def test_the_probabilities_are_those_of_torch() -> None:
    """With values that are the unit vectors, torch's output is the probabilities."""
    query, key = tensors(3, 4, 5, 6), tensors(3, 4, 7, 6)
    p = scaled_dot_product_attention(query, key, torch.eye(7).double().expand(3, 4, 7, 7))
    sums = entropy_sums(Attention(query, key))
    torch.testing.assert_close(sums[:, 0], -(p * p.log()).sum((0, 2, 3)))


def test_without_an_axis_of_heads_there_is_one() -> None:
    query, key = tensors(3, 5, 6), tensors(3, 7, 6)
    mask = MASKS["allowed"]
    expected = entropy_sums(Attention(query[:, None], key[:, None], mask))
    assert torch.equal(entropy_sums(Attention(query, key, mask)), expected)
    one = entropy_sums(Attention(query[0], key[0], mask))
    assert torch.equal(one, entropy_sums(Attention(query[:1], key[:1], mask)))


def test_alike_keys_have_the_largest_entropy_and_one_key_has_none() -> None:
    query = tensors(2, 1, 3, 4)
    alike = entropy_sums(Attention(query, torch.zeros(2, 1, 8, 4, dtype=torch.float64)))
    assert (alike[0, 0] / alike[0, 1]).item() == pytest.approx(math.log(8))
    assert (alike[0, 2] / alike[0, 3]).item() == pytest.approx(1)
    single = entropy_sums(Attention(query, tensors(2, 1, 1, 4)))
    assert single[0].tolist() == [0, 6, 0, 0]
