"""The estimate of memory: against a real network, and the refusal of one that is too large."""

from typing import Any

import pytest
import torch

from tests.support.study import BASELINE
from vanishing.errors import StudyError
from vanishing.networks import memory
from vanishing.networks.mlp import build
from vanishing.params.study import Variant


def variant(**changes: Any) -> Variant:
    """Return the tiny baseline with some fields changed."""
    return Variant(**BASELINE | changes)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_estimate_holds_weights_and_velocities_and_little_else(normalization: str) -> None:
    large = variant(width=1000, depth=5, normalization=normalization)
    network = build(large, 784, 10, torch.Generator().manual_seed(0))
    least = 2 * 4 * sum(parameter.numel() for parameter in network.parameters())
    assert least < memory.needed_bytes(large, 784, 10, batch_size=1) < 2 * least


def test_estimate_grows_with_the_batch_by_its_values_and_gradients() -> None:
    small, large = (memory.needed_bytes(variant(), 784, 10, batch) for batch in (1, 101))
    assert large - small == 4 * 3 * 100 * 16 * 3  # bytes, tensors, examples, units, layers


def test_a_network_larger_than_the_memory_is_refused_with_both_sizes() -> None:
    with pytest.raises(StudyError, match=r"variants\.x: .* about [\d,.]+ GiB, .* has [\d,.]+ GiB"):
        memory.check("variants.x", variant(width=10**9), (784, 10), batch_size=100)


def test_a_network_that_fits_is_accepted() -> None:
    memory.check("variants.x", variant(), (784, 10), batch_size=100)


def test_a_network_of_the_studys_own_code_is_not_estimated() -> None:
    custom = variant(width=10**9, network="networks:build")
    memory.check("variants.x", custom, (784, 10), batch_size=100)
