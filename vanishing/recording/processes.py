"""Networks that several processes train together: which of them records, and what is refused."""

from collections.abc import Iterable

import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vanishing.errors import StudyError


def replicated(network: nn.Module) -> nn.Module:
    """Return the module that DistributedDataParallel was given, or the module itself."""
    if isinstance(network, DistributedDataParallel):
        original: nn.Module = network.module
        return original
    return network


def is_bystander(networks: Iterable[nn.Module]) -> bool:
    """Tell whether another process records: each has the same averaged gradients, rank 0 writes."""
    is_replica = any(isinstance(network, DistributedDataParallel) for network in networks)
    return is_replica and torch.distributed.get_rank() != 0


def refuse_flat_shards(networks: Iterable[nn.Module]) -> None:
    """Check that parameters are not flattened and cut, so that none has a gradient of its own.

    Raises:
        StudyError: If they are.
    """
    for network in networks:
        for module in network.modules():
            if type(module).__name__ == "FullyShardedDataParallel":
                raise StudyError(
                    "watch: FullyShardedDataParallel (FSDP1) joins parameters and cuts them"
                    " anywhere, so that none has a gradient of its own; use fully_shard (FSDP2)"
                )
