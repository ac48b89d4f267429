"""The estimate of memory: against a real network, and the refusal of one that is too large."""

from typing import Any

import pytest
import torch

from tests.support.study import BASELINE, tiny_params
from vanishing.errors import StudyError
from vanishing.networks import memory
from vanishing.networks.mlp import build
from vanishing.params.optimizers import Adam
from vanishing.params.study import Built, Study, Variant

TRAINING = Study.model_validate(tiny_params()).train.of_one_seed()
ENDS = 784, 10


def variant(**changes: Any) -> Variant:
    """Return the tiny baseline with some fields changed."""
    return Variant(**BASELINE | changes)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_estimate_holds_weights_and_velocities_and_little_else(normalization: str) -> None:
    large = variant(width=1000, depth=5, normalization=normalization)
    network = build(large, 784, 10, torch.Generator().manual_seed(0))
    least = 2 * 4 * sum(parameter.numel() for parameter in network.parameters())
    assert least < memory.needed_bytes(large, *ENDS, 1, TRAINING) < 2 * least


def test_estimate_grows_with_the_batch_by_its_values_and_gradients() -> None:
    small, large = (memory.needed_bytes(variant(), *ENDS, batch, TRAINING) for batch in (1, 101))
    assert large - small == 4 * 3 * 100 * 16 * 3  # bytes, tensors, examples, units, layers


def test_a_network_larger_than_the_memory_is_refused_with_both_sizes() -> None:
    with pytest.raises(StudyError, match=r"variants\.x: .* about [\d,.]+ GiB, .* has [\d,.]+ GiB"):
        memory.check("variants.x", variant(width=10**9), ENDS, 100, TRAINING)


def test_a_network_that_fits_is_accepted() -> None:
    memory.check("variants.x", variant(), ENDS, 100, TRAINING)


def test_a_network_of_the_studys_own_code_is_not_estimated() -> None:
    custom = Built(network="networks:build")
    memory.check("variants.x", custom, ENDS, 100, TRAINING)


def test_two_moments_and_all_gradients_take_more_than_a_velocity() -> None:
    large = variant(width=1000, depth=5)
    adam = TRAINING.model_copy(update={"optimizer": Adam(name="adam", learning_rate=0.1)})
    parameters = memory.parameter_count(large, *ENDS)
    sgd_bytes, adam_bytes = (memory.needed_bytes(large, *ENDS, 1, t) for t in (TRAINING, adam))
    assert adam_bytes - sgd_bytes > 4 * 2.5 * parameters
    clipped = TRAINING.model_copy(update={"clip_norm": 1.0})
    assert sgd_bytes < memory.needed_bytes(large, *ENDS, 1, clipped) < adam_bytes
