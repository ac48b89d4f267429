"""Forward hooks that exist while a step is prepared that will be traced."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.hooks import RemovableHandle


class CallHooks(ABC):
    """Hooks on modules, and whether their calls are recorded.

    Hooks that were never called stay after `stop`: the modules run in a graph that `torch.compile`
    made with the hooks, as nothing, and would make anew without them.
    """

    def __init__(self) -> None:
        self._hooks: list[RemovableHandle] = []
        self._is_recording = self._has_been_called = False

    def start(self) -> None:
        """Record from the next call on."""
        self._is_recording = True
        if not self._hooks:
            self._hooks += self._attach()

    @abstractmethod
    def _attach(self) -> Iterator[RemovableHandle]:
        """Put hooks on modules, and yield their handles."""

    def stop(self) -> None:
        """Record no more calls."""
        self._is_recording = False
        if self._has_been_called:
            self.remove()

    def remove(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing meanwhile."""
        before, self._is_recording = self._is_recording, False
        try:
            yield
        finally:
            self._is_recording = before

    def _records(self) -> bool:
        """Tell in a hook whether its call is recorded; nothing else may be read before."""
        # First asked: nothing else may be read while a graph is made.
        if torch.compiler.is_compiling() or not self._is_recording:
            return False
        self._has_been_called = True
        return True
