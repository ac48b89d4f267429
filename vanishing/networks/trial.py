"""Networks of the study's own tried on a batch, before any training begins."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parameter import is_lazy

from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError, in_one_line
from vanishing.networks.build import build
from vanishing.params.study import Built, Study
from vanishing.paths import PARAMS
from vanishing.seeds import generator


def try_networks(study: Study, train: Examples, classes: int) -> None:
    """Build each network that a function returns, and pass a batch forward and backward.

    Args:
        study: With the variants; those that are multilayer perceptrons are not tried.
        train: The training examples, on the CPU.
        classes: Number of classes.

    Raises:
        StudyError: If a function raises, or returns no module, one without parameters, one that
            shares a parameter with a network that was built before, or one whose logits have
            another shape than (batch, classes); if the pass raises, or no gradient reaches a
            parameter; if logits, loss or a gradient are NaN or infinite.
    """
    owners: dict[int, str] = {}  # {where a parameter is in memory: of which variant}
    networks: list[nn.Module] = []  # none is freed, so that no place in memory is used twice
    for name, variant in study.trained.items():
        if not isinstance(variant, Built):
            continue
        key = f"{PARAMS}: variants.{name}.network"
        batch = train.first(study.training(name).batch_size)
        for seed in (0, 1):
            try:
                network = build(variant, 0, classes, generator(seed, "initialisation"))
            except StudyError as error:
                reason = str(error).removeprefix(f"{PARAMS}: network: ")
                raise StudyError(f"{key}: {reason}") from None
            problem = _parameters(network) or _shared(network, name, owners)
            if problem:
                raise StudyError(f"{key}: {variant.network} {problem}")
            networks.append(network)
        problem = _pass(networks[-1], batch, classes)
        if problem:
            raise StudyError(f"{key}: {variant.network} {problem}")


def _parameters(network: nn.Module) -> str | None:
    parameters = dict(network.named_parameters())
    lazy = next((name for name, parameter in parameters.items() if is_lazy(parameter)), None)
    if lazy:
        return f"returns a module whose {lazy} is lazy; give it its shape"
    devices = {parameter.device.type for parameter in parameters.values()} - {"cpu"}
    if devices:
        return f"returns a module on {devices.pop()}; build it on the CPU, the study moves it"
    if not any(parameter.requires_grad for parameter in parameters.values()):
        return "returns a module without parameters that require a gradient"
    return None


def _shared(network: nn.Module, variant: str, owners: dict[int, str]) -> str | None:
    places = {p.data_ptr(): name for name, p in network.named_parameters() if p.numel()}
    for place, name in places.items():
        if place in owners:
            other = "a call before" if owners[place] == variant else f"variants.{owners[place]}"
            return f"returns a module that shares {name} with {other}; make new parameters"
    owners |= dict.fromkeys(places, variant)
    return None


def _pass(network: nn.Module, batch: Examples, classes: int) -> str | None:
    """Pass a batch forward and backward; say what is wrong, None where nothing is."""
    shape = tuple(batch.inputs.shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            logits = network(batch.inputs)
        except Exception as error:  # noqa: BLE001 - whatever the study's own code raises
            return f"fails on inputs {shape}: {in_one_line(error)}"
        if not isinstance(logits, Tensor) or logits.shape != (len(batch.labels), classes):
            given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            return f"maps inputs {shape} to {given}, not to logits {(len(batch.labels), classes)}"
        loss = cross_entropy(logits, batch.labels)
        if not (logits.isfinite().all() and loss.isfinite()):
            return f"has logits or a loss that are NaN or infinite on inputs {shape}"
        if not loss.requires_grad:
            return "has logits that depend on no parameter"
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001
            return f"fails in the backward pass: {in_one_line(error)}"
    return next(_wrong_gradients(network), None)


def _wrong_gradients(network: nn.Module) -> Iterator[str]:
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    if not gradients:
        yield "has a loss from which no gradient reaches a parameter"
    for name, gradient in gradients.items():
        values = gradient.coalesce().values() if gradient.is_sparse else gradient
        if not values.isfinite().all():
            yield f"has a gradient of {name} that is NaN or infinite at the first step"
