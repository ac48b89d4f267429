"""The steps of an epoch: a batch forward, its gradients backward, and the update of the weights."""

import warnings
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vanishing.datasets.examples import Examples
from vanishing.errors import in_one_line
from vanishing.params.study import Training
from vanishing.recording.step_trace import StepTrace
from vanishing.recording.trace import Trace
from vanishing.training.optimizers import make_optimizer
from vanishing.training.precision import autocast


class _Graph(NamedTuple):
    """A captured step, and the observer that holds what its last replay measured."""

    graph: torch.cuda.CUDAGraph
    observer: StepTrace | None


class Steps:
    """Takes the steps of a training, on the device of the examples.

    On a GPU a step of full size is a CUDA graph, captured before the first one and then replayed,
    so that no kernel waits for the host: a step takes its number in the epoch, its batch and the
    place of its loss from tensors on the device. A smaller last batch, and a network that cannot be
    captured because it reads from the device, run kernel by kernel; a warning says so of the
    latter.

    Attributes:
        optimizer: Takes them.
        sizes: Of each step's batch; all of an epoch's.
        losses: (steps,), the mean loss of each batch of the epoch.
        correct: (), int64: how many examples of the epoch were classified correctly, each by the
            weights before its step.
    """

    def __init__(
        self, network: nn.Module, settings: Training, examples: Examples, trace: Trace
    ) -> None:
        device, count = examples.labels.device, len(examples.labels)
        self._network = network
        self._examples = examples
        self._trace = trace
        self._size = settings.batch_size
        self._precision = settings.precision
        self.optimizer = make_optimizer(network, settings)
        self.sizes = [min(self._size, count - start) for start in starts(count, self._size)]
        self.losses = torch.zeros(len(self.sizes), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self._order = torch.zeros(count, dtype=torch.int64, device=device)
        self._within = torch.arange(self._size, device=device)  # indices within a batch
        self._index = torch.zeros(1, dtype=torch.int64, device=device)  # of the step that comes
        self._graphs: dict[bool, _Graph] | None = None if device.type == "cuda" else {}

    def begin(self, order: torch.Generator) -> None:
        """Begin an epoch, in an order of the examples that is drawn from a generator."""
        self._order.copy_(torch.randperm(len(self._order), generator=order))
        self._index.zero_()
        self.correct.zero_()

    def take(self, index: int, traced: bool) -> StepTrace | None:
        """Take the next step.

        Args:
            index: Its number in the epoch; 0 is the first.
            traced: Whether it is observed.

        Returns:
            Its observer, until the next step; None where it is not traced.
        """
        size = self.sizes[index]
        if self._graphs is None:
            self._graphs = self._capture()
        if self._graphs and size == self._size:
            graph, observer = self._graphs[traced]
            graph.replay()
            return observer
        observer = self._trace.observer() if traced else None
        self._step(size, observer)
        return observer

    def _step(self, size: int, observer: StepTrace | None) -> None:
        """Take a step kernel by kernel; nothing is read from the device, or copied to it."""
        chosen = self._order[self._index * self._size + self._within[:size]]
        inputs, labels = self._examples.inputs[chosen], self._examples.labels[chosen]
        with autocast(inputs.device, self._precision):
            logits = self._network(inputs)
            loss = cross_entropy(logits, labels)
        self.optimizer.observer = observer
        self.optimizer.step(loss)
        if observer is not None:
            observer.close()
        self.losses.index_copy_(0, self._index, loss.detach().reshape(1))
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self._index += 1

    def _capture(self) -> dict[bool, _Graph]:
        """Capture a step without and with an observer; {} if it cannot be captured."""
        if len(self._order) < self._size:
            return {}
        graphs = {}
        state = [*self._network.parameters(), *self._network.buffers()]
        state += [*self.optimizer.state().values(), self.losses, self.correct, self._index]
        with torch.no_grad():
            before = [tensor.clone() for tensor in state]
        is_old = set(self.optimizer.state())
        random = torch.cuda.get_rng_state()
        try:
            for observer in (None, self._trace.observer()):
                self._step(self._size, observer)  # libraries are loaded at the first call
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    self._step(self._size, observer)
                graphs[observer is not None] = _Graph(graph, observer)
        except RuntimeError as error:
            reason = in_one_line(error)
            warnings.warn(f"training runs kernel by kernel, not captured: {reason}", stacklevel=2)
            graphs = {}
        torch.cuda.set_rng_state(random)
        with torch.no_grad():
            for tensor, values in zip(state, before, strict=True):
                tensor.copy_(values)
            for name, tensor in self.optimizer.state().items():
                if name not in is_old:  # the first step made it, of zeros
                    tensor.zero_()
        return graphs


def starts(count: int, size: int) -> range:
    """Return the index at which each batch starts; the last one may be smaller.

    A last batch of a single example is left out: batch normalization has no variance there.
    """
    return range(0, count - 1 if size > 1 else count, size)
