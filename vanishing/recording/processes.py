"""Networks that several processes train together: which of them records, and what is refused."""

from collections.abc import Iterable

import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vanishing.errors import StudyError

_SHARDING_MODULES = {"FullyShardedDataParallel": "FullyShardedDataParallel (FSDP1)"}
_SHARDED_TENSORS = {"DTensor": "fully_shard (FSDP2) or tensor parallelism"}


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


def refuse_shards(networks: Iterable[nn.Module]) -> None:
    """Check that this process holds whole parameters.

    Raises:
        StudyError: If a kind of sharding leaves it a part of them.
    """
    for network in networks:
        kinds = [_SHARDING_MODULES.get(type(module).__name__) for module in network.modules()]
        kinds += [_SHARDED_TENSORS.get(type(tensor).__name__) for tensor in _tensors(network)]
        for kind in filter(None, kinds):
            raise StudyError(
                f"watch: parameters are sharded by {kind}, of which a process sees a part; watch"
                " a training on one process, or under DistributedDataParallel"
            )


def _tensors(network: nn.Module) -> Iterable[Tensor]:
    return (parameter.data for parameter in network.parameters())
