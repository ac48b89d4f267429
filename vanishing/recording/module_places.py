"""The layers and blocks of networks, and the optimizer with whose steps they count."""

from collections.abc import Mapping, Sequence

from torch import nn

from vanishing.recording.description import Owners
from vanishing.recording.module_calls import Modules, Place
from vanishing.recording.parameters import NamedParameter
from vanishing.results.blocks import block_of


def modules_by_optimizer(
    networks: Mapping[str, nn.Module],
    chosen: Sequence[NamedParameter],
    owners: Owners,
    optimizers: Sequence[str],
) -> dict[str, Modules]:
    """Find the modules whose parameters each optimizer holds: layers, and the blocks around them.

    A layer has parameters of its own. A block is a module by whose name `block_of` groups layers,
    such as `encoder.layers.17`; it has the index of its first layer.

    Args:
        networks: {name: network}, as for `name_parameters`.
        chosen: The parameters that are recorded.
        owners: As from `owners_of`.
        optimizers: Their names; modules whose parameters nobody holds go to the first.

    Returns:
        {optimizer: its modules}.
    """
    layers: dict[str, tuple[str, Place]] = {}
    blocks: dict[str, tuple[str, Place]] = {}
    for named in chosen:
        owner = owners.get(named.parameter, (optimizers[0], ""))[0]
        layers.setdefault(named.layer, (owner, Place(named.layer_index, named.layer)))
        block = block_of(named.layer)
        blocks.setdefault(block, (owner, Place(named.layer_index, block)))
    modules: dict[str, Modules] = {name: Modules({}, {}) for name in optimizers}
    for prefix, network in networks.items():
        for name, module in network.named_modules(prefix=prefix):
            if name in layers:
                owner, place = layers[name]
                modules[owner].layers[module] = place
            elif name in blocks:
                owner, place = blocks[name]
                modules[owner].blocks[module] = place
    return modules
