"""The first line that torchmortem recommends for a case, as a change that can be tried.

Its report ranks findings, and each has remedies, the first of which its summary prints as the top
recommendation. What each line stands for was written down before any was read for a tested case:
the change that the line names first, at the value that it names, or by a factor of ten.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from benchmarks.watchers.torchmortem import Torchmortem
from benchmarks.zoo.outcomes import FOLDER, Kept
from benchmarks.zoo.rivals import answers
from benchmarks.zoo.rivals.alarms import attend
from benchmarks.zoo.rivals.answers import SEED, STEPS, Question
from vanishing.gate.trials import MakeOptimizer
from vanishing.remedies import surgery
from vanishing.remedies.changes import ADAM, RATES, RELU, SKIPS, WARM_UP, Change

_LARGEST_NORM = 1.0  # as the line says
_DECAY = 0.01  # the line has no value: AdamW's default
_TENTH, _TENFOLD = RATES[1:3]


class FirstLine(Kept):
    """What torchmortem recommends first for a case."""

    @property
    def path(self) -> Path:
        """The file of the line."""
        key = answers.key(Question("torchmortem", self.case))
        return FOLDER / "remedies" / self.case.name / f"torchmortem-{key}.json"

    def read(self) -> str | None:
        """Return the line; None where the report has none."""
        line: str | None = self.content()
        return line


def ask(question: FirstLine) -> None:
    """Train while torchmortem watches, and keep its first line."""
    line, _error = attend(Torchmortem, (question.case, SEED, STEPS), _first_line)
    question.keep(line)


def _first_line(watcher: Any) -> str | None:
    for finding in watcher.report().findings[:1]:
        return next(iter(finding.remediation), None)
    return None


def change_of(line: str | None) -> Change | None:
    """Return the change that a line stands for; None for no line, or one that is no change."""
    return next((change for words, change in _CHANGES.items() if line and words in line), None)


def _clip(optimizer: Optimizer, *_arguments: object) -> None:
    clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], _LARGEST_NORM)


def _decay(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["weight_decay"] = _DECAY


def _of_optimizer(name: str, code: str, alter: Callable[[Optimizer], object]) -> Change:
    return Change(
        name,
        ("optimizer",),
        code,
        optimize=lambda make, _task: partial(_altered, make, alter),
    )


def _altered(
    make: MakeOptimizer, alter: Callable[[Optimizer], object], parameters: Any
) -> Optimizer:
    optimizer = make(parameters)
    alter(optimizer)
    return optimizer


_CLIPPING = _of_optimizer(
    "gradient clipping",
    "clip_grad_norm_(model.parameters(), 1.0)",
    lambda optimizer: optimizer.register_step_pre_hook(_clip),
)
_WEIGHT_DECAY = _of_optimizer("weight decay", "weight_decay=0.01", _decay)
_LEAKY_RELU = Change(
    "leaky ReLU",
    ("activation",),
    "nn.LeakyReLU() in place of the activations",
    lambda model, _task: surgery.replace_activations(model, nn.LeakyReLU),
)
# By words of its lines, in the order in which they are looked for.
_CHANGES: Mapping[str, Change] = {
    "skip/residual connections": SKIPS,
    "sigmoid/tanh to ReLU": RELU,
    "sigmoid/tanh with ReLU": RELU,
    "Switch from ReLU to LeakyReLU, ELU, or GELU": _LEAKY_RELU,
    "gradient clipping": _CLIPPING,
    "Reduce the learning rate": _TENTH,
    "ncrease the learning rate": _TENFOLD,
    "ncreasing the learning rate": _TENFOLD,
    "Use per-layer learning rate scaling or an adaptive optimizer (Adam": ADAM,
    "Add weight decay": _WEIGHT_DECAY,
    "learning rate warmup": WARM_UP,
}
OTHERS = {  # changes that `find_remedy` does not try
    change.name: change for change in (_CLIPPING, _WEIGHT_DECAY, _LEAKY_RELU)
}
