"""What is plainly wrong: it is named with its place, and gets no other remedy.

A change can hide such a fault, as Adam hides a gradient that is never reset, and leave it there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vanishing.gate.failures import Place
from vanishing.gate.source_lines import place_of, start_of
from vanishing.judging.learning.causes import Cause
from vanishing.recording.tensors import tensors
from vanishing.remedies.task import Task

# Names of causes (judging.learning.causes) that are plain faults, and what mends them.
MENDING = {
    "non-finite": "Drop or mend the examples that hold NaN or infinity.",
    "accumulation": "Call optimizer.zero_grad() before each backward pass.",
    "detached": "Remove the detach(), no_grad() or .data that cuts the path, or the unused layer.",
    "not-held": "Give the optimizer these parameters: model.parameters() holds all.",
    "frozen": "Set requires_grad to True again.",
    "loss": "Give the loss the logits, and take its mean over the batch.",
    "order": "Shuffle the examples.",
    "normalization": "Let the normalization update its statistics: model.train() before training.",
    "inputs": "Scale the inputs to mean 0 and standard deviation 1.",
    "momentum": "Set the momentum to 0.9.",
    "weight-decay": "Lower the weight decay, to 1e-4 or 0.",
    "epsilon": "Leave the optimizer's epsilon at its default.",
    "clipping": "Clip at a norm that most gradients are below, or not at all.",
    "warm-up": "Shorten the warm-up.",
    "precision": "Keep the weights in float32.",
}
_LOSS = "loss"
_IN_DATA = {"non-finite", "inputs", "order"}


@dataclass(frozen=True)
class Fault:
    """Something that is plainly wrong.

    Attributes:
        name: That of the cause.
        sentence: What is wrong.
        mending: What to do.
        measured: The number, in words.
        layer: The module; None where it is in none.
        place: The line of source; None where there is none.
    """

    name: str
    sentence: str
    mending: str
    measured: str
    layer: str | None = None
    place: Place | None = None

    def __str__(self) -> str:
        """Write it in a line."""
        where = f" Layer: {self.layer}." if self.layer else ""
        line = f" ({self.place})" if self.place else ""
        return f"{self.sentence}{where}{line} {self.measured} {self.mending}"


def in_data(task: Task) -> Fault | None:
    """Look for NaN and infinity in all examples; None where there is none."""
    for name, split in (("train", task.train), ("test", task.test)):
        for part, content in split._asdict().items():
            bad = sum(map(_count_bad, _floating(content)))
            if bad:
                return Fault(
                    "non-finite",
                    f"The {part} of the {'training' if name == 'train' else 'test'} examples hold"
                    " NaN or infinity.",
                    MENDING["non-finite"],
                    f"Examples with one: {bad} of {len(split)}.",
                )
    return None


def _floating(content: Any) -> Iterator[Tensor]:
    return (t for t in tensors(content) if t.is_floating_point() and t.dim())


def _count_bad(tensor: Tensor) -> int:
    return int((~torch.isfinite(tensor)).flatten(1 if tensor.dim() > 1 else 0).any(-1).sum())


def from_cause(cause: Cause, task: Task, model: nn.Module) -> Fault | None:
    """Return the plain fault that a cause is, with its place; None of any other cause.

    Args:
        cause: Of a training that does not learn.
        task: The training.
        model: Its network.
    """
    if cause.name not in MENDING:
        return None
    value = f"{cause.measured:.3g}" if math.isfinite(cause.measured) else str(cause.measured)
    measured = f"{cause.quantity}: {value}, a fault {cause.limit}."
    return Fault(
        cause.name,
        cause.sentence,
        MENDING[cause.name],
        measured[0].upper() + measured[1:],
        cause.layer,
        _place(cause, task, model),
    )


def _place(cause: Cause, task: Task, model: nn.Module) -> Place | None:
    if cause.layer:
        return place_of(model, cause.layer.partition("#")[0], task.make_model)
    if cause.name == _LOSS:
        return start_of(task.loss)
    if cause.name not in _IN_DATA and task.loop is not None:
        return start_of(task.loop)
    return None
