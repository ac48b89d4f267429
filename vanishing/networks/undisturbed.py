"""Forward passes that leave a network, a batch and the random states as they were.

- call: passes a copy of the inputs through a network
- unchanged: gives a network back as it was
- seeded: gives the global generators back as they were
"""

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def call(model: nn.Module, inputs: Any) -> Any:
    """Call a network with a copy of its inputs: a tensor, or a tuple or mapping of arguments."""
    return call_with(model, copied(inputs))


def call_with(model: nn.Module, inputs: Any) -> Any:
    """Call a network with these very inputs: a tensor, or a tuple or mapping of arguments."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def copied(content: Any) -> Any:
    """Copy the tensors of a batch: a network may work on them in place."""
    return map_tensors(content, lambda t: t.detach().clone().requires_grad_(t.requires_grad))


def map_tensors(content: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to the tensors of nested tuples, lists, mappings and dataclasses."""
    if isinstance(content, Tensor):
        return change(content)
    if isinstance(content, tuple) and hasattr(content, "_fields"):
        return type(content)(*(map_tensors(item, change) for item in content))
    if isinstance(content, tuple | list):
        return type(content)(map_tensors(item, change) for item in content)
    if isinstance(content, MutableMapping):  # of the same class: a loss may read its attributes
        mapped = copy.copy(content)
        for key, item in content.items():
            mapped[key] = map_tensors(item, change)
        return mapped
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        fields = [field.name for field in dataclasses.fields(content) if field.init]
        return dataclasses.replace(
            content, **{name: map_tensors(getattr(content, name), change) for name in fields}
        )
    return content


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a model may draw from it
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, and give them back as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if is_used else ()
    with torch.random.fork_rng(devices):
        seed_all(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Give a network back as it was: it may be one that the user has."""
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
            for registry in (module._parameters, module._buffers):
                for name, tensor in registry.items():
                    if tensor is not None:
                        stack.callback(_restore, registry, name, tensor, tensor.detach().clone())
        for parameter in model.parameters():
            stack.callback(setattr, parameter, "grad", parameter.grad)
            parameter.grad = None
        yield


def _restore(registry: dict[str, Any], name: str, tensor: Tensor, values: Tensor) -> None:
    registry[name] = tensor
    with torch.no_grad():
        tensor.copy_(values)
