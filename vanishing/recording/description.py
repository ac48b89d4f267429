"""What run.json says of a watched training: parameters, optimizers, versions, machine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vanishing import device
from vanishing.errors import StudyError
from vanishing.recording.optimizer_steps import group_names
from vanishing.recording.parameters import NamedParameter
from vanishing.recording.sharding import is_sharded
from vanishing.recording.watch_tables import read
from vanishing.version import __version__

Owners = dict[Tensor, tuple[str, str]]  # {parameter: (optimizer, group)}


def owners_of(optimizers: Mapping[str, Optimizer], named: Sequence[NamedParameter]) -> Owners:
    """Find out which optimizer holds which of the models' parameters.

    Args:
        optimizers: {name: optimizer}.
        named: The models' parameters.

    Returns:
        Only parameters that are held.

    Raises:
        StudyError: If an optimizer holds none of them, or two hold the same one.
    """
    names = {parameter.parameter: parameter.name for parameter in named}
    owners: Owners = {}
    for optimizer_name, optimizer in optimizers.items():
        groups = group_names(optimizer).items()
        held = [(p, group) for group, content in groups for p in content["params"] if p in names]
        if not held:
            raise StudyError(
                f"watch: the optimizer {type(optimizer).__name__} holds none of the model's"
                " parameters; make it after the model is on its device, from model.parameters()"
            )
        for parameter, group in held:
            if parameter in owners:
                raise StudyError(
                    f"watch: two optimizers hold {names[parameter]}, so its steps have no order;"
                    " watch one of them"
                )
            owners[parameter] = optimizer_name, group
    return owners


def describe(
    named: Sequence[NamedParameter],
    chosen: Sequence[NamedParameter],
    owners: Owners,
    optimizers: Mapping[str, Optimizer],
    every: int,
) -> dict[str, Any]:
    """Return the content of run.json.

    Args:
        named: The models' parameters.
        chosen: Those that are recorded.
        owners: As from `owners_of`.
        optimizers: {name: optimizer}.
        every: Of how many steps one is traced.

    Returns:
        Objects that JSON can hold.
    """
    recorded = {parameter.parameter for parameter in chosen}
    return {
        "kind": "watched",
        "every": every,
        "parameters": [
            _parameter(p, owners.get(p.parameter, (None, None)), p.parameter in recorded)
            for p in named
        ],
        "initial_std": _initial_stds(named),
        "optimizers": [_optimizer(name, optimizer) for name, optimizer in optimizers.items()],
        "versions": {"vanishing": __version__},  # torch's is the machine's
        "machine": device.machine(chosen[0].parameter.device),
    }


def _parameter(
    named: NamedParameter, owner: tuple[str | None, str | None], recorded: bool
) -> dict[str, Any]:
    optimizer, group = owner
    return {
        "name": named.name,
        "layer_index": named.layer_index,
        "layer": named.layer,
        "parameter": named.leaf,
        "shape": list(named.parameter.shape),
        "dtype": str(named.parameter.dtype).removeprefix("torch."),
        "frozen": not named.parameter.requires_grad,
        "optimizer": optimizer,
        "group": group,
        "recorded": recorded,
        "tied": list(named.other_names),
    }


def _initial_stds(named: Sequence[NamedParameter]) -> dict[str, float | None]:
    """Return the standard deviation of each parameter; None of a sharded or an infinite one."""
    stds = {p.name: _std(p.parameter) for p in named if _is_whole(p.parameter)}
    values = zip(stds, read([*stds.values()]).tolist(), strict=True)
    finite = {name: value for name, value in values if math.isfinite(value)}
    return {p.name: finite.get(p.name) for p in named}


def _is_whole(parameter: Tensor) -> bool:
    return not is_sharded(parameter) and parameter.numel() > 0 and not parameter.is_meta


def _std(parameter: Tensor) -> Tensor:
    values = torch.view_as_real(parameter) if parameter.is_complex() else parameter
    return values.detach().double().std(correction=0)


def _optimizer(name: str, optimizer: Optimizer) -> dict[str, Any]:
    groups = group_names(optimizer).items()
    return {
        "name": name,
        "class": type(optimizer).__name__,
        "groups": [{"name": group, "settings": _settings(content)} for group, content in groups],
    }


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter group's settings; what JSON cannot hold is written as text."""
    return {key: _plain(value) for key, value in group.items() if key not in {"params", "name"}}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
