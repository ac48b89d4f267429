"""Random generators."""

import torch

from vanishing.seeds import generator


def test_streams_differ_by_seed_and_by_purpose() -> None:
    drawn = {
        torch.rand(1, generator=generator(seed, purpose)).item()
        for seed in (0, 1)
        for purpose in ("initialisation", "order")
    }
    assert len(drawn) == 4
    assert generator(5, "order").initial_seed() == generator(5, "order").initial_seed()
