"""Random generators: one stream per seed and purpose."""

import numpy as np
import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Make a generator on the CPU whose stream depends on the seed and the purpose.

    Separate streams keep the order of the examples the same for every variant, although their
    initialisations draw different amounts of random numbers.

    Returns:
        The generator.
    """
    entropy = [seed, *purpose.encode()]
    state = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state >> 1)  # manual_seed takes 63 bits
