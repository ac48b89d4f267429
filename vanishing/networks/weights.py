"""A network's weights as a file has them: contiguous, and each once, however many names it has."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a network's state, tied ones under their first name.

    Returns:
        {name: tensor}, contiguous; on the network's device, and its own memory where it can be.
    """
    state = network.state_dict(keep_vars=True)
    first_names = {id(tensor): name for name, tensor in reversed(state.items())}
    return {
        name: tensor.detach().contiguous()
        for name, tensor in state.items()
        if first_names[id(tensor)] == name
    }


@torch.no_grad()
def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network the values that `state_of` returned of one of its kind.

    Args:
        network: One on the meta device gets the tensors themselves.
        state: Of as many names and the same shapes.

    Raises:
        RuntimeError: If a name or a shape differs.
    """
    different = state_of(network).keys() ^ state.keys()
    if different:
        raise RuntimeError(f"the tensors differ: {', '.join(sorted(different)[:3])}")
    has_memory = all(not parameter.is_meta for parameter in network.parameters())
    network.load_state_dict(dict(state), strict=False, assign=not has_memory)
