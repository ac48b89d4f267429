"""The layers and blocks of networks, and the optimizer with whose steps they count."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from vanishing.recording.description import Owners
from vanishing.recording.module_calls import Modules
from vanishing.recording.parameters import NamedParameter
from vanishing.recording.passes import Place
from vanishing.results.blocks import block_of


def modules_by_optimizer(
    networks: Mapping[str, nn.Module],
    chosen: Sequence[NamedParameter],
    owners: Owners,
    optimizers: Sequence[str],
) -> dict[str, Modules]:
    """Find the modules whose parameters each optimizer holds: layers, and the blocks around them.

    A layer has parameters of its own. A block is a module by whose name `block_of` groups layers,
    such as `encoder.layers.17`; it has the index of its first layer. So has a caller, which may
    call attention: any module but a leaf of torch's own; one without a layer has its parent's.

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
    modules: dict[str, Modules] = {name: Modules({}, {}, {}, {}) for name in optimizers}
    holders: dict[str, tuple[str, int]] = {}  # {module: owner and index of its first layer}
    for owner, place in layers.values():
        for name in _enclosing(place.layer):
            holders.setdefault(name, (owner, place.layer_index))
    for prefix, network in networks.items():
        if prefix in holders:
            owner, index = holders[prefix]
            modules[owner].networks[network] = Place(index, prefix)
        for name, module in network.named_modules(prefix=prefix):
            if name in layers:
                owner, place = layers[name]
                modules[owner].layers[module] = place
            elif name in blocks:
                owner, place = blocks[name]
                modules[owner].blocks[module] = place
            first = next((holders[n] for n in _enclosing(name) if n in holders), None)
            if first is not None and _may_call_attention(module):
                modules[first[0]].callers[module] = Place(first[1], name)
    return modules


def _enclosing(name: str) -> Iterator[str]:
    """Yield a module's name and those of the modules around it, from within."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def _may_call_attention(module: nn.Module) -> bool:
    is_leaf = next(module.children(), None) is None
    return not (is_leaf and type(module).__module__.startswith("torch.nn.modules."))
