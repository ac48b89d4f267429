"""The modules of networks that have parameters, and the optimizer with whose steps they count."""

from collections.abc import Mapping, Sequence

from torch import nn

from vanishing.recording.description import Owners
from vanishing.recording.module_calls import Modules, Place
from vanishing.recording.parameters import NamedParameter


def modules_by_optimizer(
    networks: Mapping[str, nn.Module],
    chosen: Sequence[NamedParameter],
    owners: Owners,
    optimizers: Sequence[str],
) -> dict[str, Modules]:
    """Find the modules whose parameters each optimizer holds.

    Args:
        networks: {name: network}, as for `name_parameters`.
        chosen: The parameters that are recorded.
        owners: As from `owners_of`.
        optimizers: Their names; modules whose parameters nobody holds go to the first.

    Returns:
        {optimizer: {module: its place}}.
    """
    places: dict[str, tuple[str, Place]] = {}
    for named in chosen:
        owner = owners.get(named.parameter, (optimizers[0], ""))[0]
        places.setdefault(named.layer, (owner, Place(named.layer_index, named.layer)))
    modules: dict[str, Modules] = {name: {} for name in optimizers}
    for prefix, network in networks.items():
        for layer, module in network.named_modules(prefix=prefix):
            if layer in places:
                owner, place = places[layer]
                modules[owner][module] = place
    return modules
