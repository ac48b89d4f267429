"""The tensors in what a module is given or gives back."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors(content: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output: of a tensor, or of containers of tensors."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for item in content.values():
            yield from tensors(item)
    elif isinstance(content, list | tuple):
        for item in content:
            yield from tensors(item)
    elif dataclasses.is_dataclass(content):
        for field in dataclasses.fields(content):
            yield from tensors(getattr(content, field.name))
