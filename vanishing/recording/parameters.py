"""The parameters of networks of any kind: their names, their order, and which are chosen."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vanishing.errors import StudyError

Networks = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]
Choice = str | Callable[[str, Tensor], bool]

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class NamedParameter:
    """A parameter, and where it stands in its network.

    Attributes:
        parameter: The tensor itself.
        layer_index: Position of its module among those that have parameters of their own, in the
            order of definition; all networks are counted together.
        layer: Its module, as PyTorch names it; '' is the network itself.
        leaf: Its name within the module: `weight`, `bias`, `weight_ih_l0`, ….
        other_names: Under which further names tied modules hold the same tensor.
    """

    parameter: Tensor
    layer_index: int
    layer: str
    leaf: str
    other_names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The full name, as `named_parameters` gives it."""
        return f"{self.layer}.{self.leaf}".lstrip(".")

    @property
    def tensors(self) -> tuple[str, str, str]:
        """The words for its gradient, its values and its update in the column `tensor`.

        A `weight` has `weight_gradient`, `weight` and `update`, as in the study's tables; any other
        parameter P has `P_gradient`, `P` and `P_update`.
        """
        update = "update" if self.leaf == "weight" else f"{self.leaf}_update"
        return f"{self.leaf}_gradient", self.leaf, update


def by_name(given: _T | Sequence[_T] | Mapping[str, _T], kind: type[_T]) -> dict[str, _T]:
    """Return {name: item} of one item (named ''), of a list (named by index) or of a mapping.

    Raises:
        TypeError: If anything is not of the kind.
    """
    if isinstance(given, kind):
        return {"": given}
    if isinstance(given, Mapping):
        named = dict(given)
    else:
        named = {str(index): item for index, item in enumerate(cast("Sequence[_T]", given))}
    for item in named.values():
        if not isinstance(item, kind):
            raise TypeError(f"watch: should be of type {kind.__name__}; given {item!r}")
    return named


def name_parameters(networks: Mapping[str, nn.Module]) -> list[NamedParameter]:
    """Name the parameters of networks, each tensor once, in the order of definition.

    Args:
        networks: {name: network}; the names stand before those of the modules, as those of
            `nn.ModuleDict` do. One network alone is named ''.

    Returns:
        The parameters that have elements.

    Raises:
        StudyError: If there are none, or if a lazy module has no shape yet.
    """
    places: dict[Tensor, list[tuple[str, str]]] = {}
    for layer, leaf, parameter in _walk(networks):
        if is_lazy(parameter):
            raise StudyError(
                f"watch: {layer or 'the model'} is lazy and has no shape yet; pass a batch first"
            )
        if parameter.numel():
            places.setdefault(parameter, []).append((layer, leaf))
    if not places:
        raise StudyError("watch: the model has no parameters; give the module that is trained")
    layers = {layer: None for (layer, _), *_ in places.values()}
    index = {layer: position for position, layer in enumerate(layers)}
    return [
        NamedParameter(
            parameter, index[layer], layer, leaf, tuple(".".join(place) for place in others)
        )
        for parameter, ((layer, leaf), *others) in places.items()
    ]


def _walk(networks: Mapping[str, nn.Module]) -> Iterator[tuple[str, str, Tensor]]:
    """Yield module, name within it, and parameter; a module that is used twice twice."""
    for prefix, network in networks.items():
        for name, module in network.named_modules(prefix=prefix, remove_duplicate=False):
            for leaf, parameter in module.named_parameters(recurse=False):
                yield name, leaf, parameter


def choose(parameters: Sequence[NamedParameter], choice: Choice | None) -> list[NamedParameter]:
    """Return the parameters of a choice.

    Args:
        parameters: To choose from.
        choice: A regular expression that is searched in the full name, or a predicate of the full
            name and the parameter; None for all.

    Returns:
        Those chosen, in the same order.

    Raises:
        StudyError: If the regular expression is none, or nothing is chosen.
    """
    if choice is None:
        return list(parameters)
    matches = _matching(choice) if isinstance(choice, str) else choice
    selection = [named for named in parameters if matches(named.name, named.parameter)]
    if not selection:
        raise StudyError(f"watch: parameters: chooses none; names are such as {parameters[0].name}")
    return selection


def _matching(expression: str) -> Callable[[str, Tensor], bool]:
    """Make the predicate of a regular expression."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise StudyError(
            f"watch: parameters: {expression!r} is no regular expression ({error})"
        ) from None
    return lambda name, _: pattern.search(name) is not None
