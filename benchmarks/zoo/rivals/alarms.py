"""Which words of other tools count as an alarm, "will not learn", about a training of the zoo.

Written before any tool watched a case of the halves "held out" and "unseen". No tool says "will not
learn"; so each has several alarms, from the most that it says to the finding that is named after
the vanishing gradient. Settings are the tools' defaults, attached as their documentation says
(benchmarks/watchers). A tool that ends the training or its own report with an error gives no alarm.

torchmortem, its report:
    any warning: a finding of severity WARNING or CRITICAL
    critical: a finding of severity CRITICAL
    loss: a finding of either severity about the loss: a plateau, or divergence
    vanishing: the finding "Vanishing gradients detected"

traintools, GradientHealthMonitor called before each step (without `max_grad_norm`, which warns of
clipping that no case asks for):
    any warning: at any step
    warning at the last step: at that step
    vanishing: a gradient "appears vanished" at any step

NeuralDBG, the edition that is published, without its proprietary engine:
    any hypothesis: `explain_failure` has one, of any of the types that the documentation lists
    any failure: `first_failure_layer` has a layer, of a gradient, an activation, the loss or data
    vanishing: it has one for `gradient_vanishing`

gradsnitch, its report, without a validation loss:
    any finding: an error or a warning
    error: an error
    not learning: an error, a plateau from the start (GS005) or vanishing gradients (GS007)
    vanishing: GS007

TorchInstruments, `wandb.watch` and `add_histogram` record and say nothing. Evaluations on the test
set, of which a training has six, pass the tools' hooks too, as in any loop that evaluates.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.watchers.gradsnitch import Gradsnitch
from benchmarks.watchers.neuraldbg import NeuralDBG
from benchmarks.watchers.torchmortem import Torchmortem
from benchmarks.watchers.traintools import Traintools
from benchmarks.watchers.watcher import Watcher
from benchmarks.zoo import training
from benchmarks.zoo.cases import Case

_FAILURE_TYPES = (
    "vanishing_gradients",
    "exploding_gradients",
    "dead_neurons",
    "saturated_activations",
    "optimizer_instability",
    "data_anomaly",
)
Said = TypeVar("Said")


class Rival(NamedTuple):
    """A tool that is compared.

    Attributes:
        package: The distribution whose version decides what it says.
        watcher: Attaches it.
        alarms: {name: whether the watcher, after the training, gives this alarm}.
    """

    package: str
    watcher: type[Watcher]
    alarms: Mapping[str, Callable[[Any], bool]]


def _warnings_of(watcher: Torchmortem) -> list[Any]:
    """Return its findings of severity WARNING or CRITICAL."""
    from torchmortem.types import Severity  # noqa: PLC0415 - installed for the benchmarks alone

    findings = watcher.report().findings
    return [finding for finding in findings if finding.severity >= Severity.WARNING]


def _warned_last(watcher: Traintools) -> bool:
    return any(step == watcher.step - 1 for step, _ in watcher.warnings())


def _codes(watcher: Gradsnitch) -> set[str]:
    """Return the codes of its findings, and `error` if there is one."""
    return {word for finding in watcher.findings() for word in (finding.code, finding.severity)}


RIVALS: Mapping[str, Rival] = {
    "torchmortem": Rival(
        "torchmortem",
        Torchmortem,
        {
            "any warning": lambda watcher: bool(_warnings_of(watcher)),
            "critical": lambda watcher: any(
                finding.severity.name == "CRITICAL" for finding in _warnings_of(watcher)
            ),
            "loss": lambda watcher: any(
                finding.category == "loss_dynamics" for finding in _warnings_of(watcher)
            ),
            "vanishing": lambda watcher: any(
                finding.title == "Vanishing gradients detected" for finding in _warnings_of(watcher)
            ),
        },
    ),
    "traintools": Rival(
        "traintools",
        Traintools,
        {
            "any warning": lambda watcher: bool(watcher.warnings()),
            "warning at the last step": _warned_last,
            "vanishing": lambda watcher: any(
                "appears vanished" in text for _, text in watcher.warnings()
            ),
        },
    ),
    "NeuralDBG": Rival(
        "neuraldbg",
        NeuralDBG,
        {
            "any hypothesis": lambda watcher: any(map(watcher.hypotheses, _FAILURE_TYPES)),
            "any failure": lambda watcher: bool(watcher.failures()),
            "vanishing": lambda watcher: "gradient_vanishing" in watcher.failures(),
        },
    ),
    "gradsnitch": Rival(
        "gradsnitch",
        Gradsnitch,
        {
            "any finding": lambda watcher: bool(_codes(watcher)),
            "error": lambda watcher: "error" in _codes(watcher),
            "not learning": lambda watcher: bool({"error", "GS005", "GS007"} & _codes(watcher)),
            "vanishing": lambda watcher: "GS007" in _codes(watcher),
        },
    ),
}


class Attachment:
    """A tool that watches a training of the zoo: hooks on the optimizer call it around each step.

    Args:
        tool: Attaches it to a network and an optimizer.
        folder: Where it may write, and the working directory while it watches.

    Attributes:
        watcher: What it attached, once the training has begun.
    """

    watcher: Watcher

    def __init__(self, tool: type[Watcher], folder: Path) -> None:
        self._tool = tool
        self._folder = folder

    @contextlib.contextmanager
    def __call__(self, network: nn.Module, optimizer: Optimizer) -> Iterator["Attachment"]:
        """Watch a training; this is the `watch` that `training.train` takes.

        Yields:
            What is told the losses.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self._folder))  # NeuralDBG writes there
            self.watcher = stack.enter_context(self._tool(network, [optimizer], self._folder))
            for hook in (
                optimizer.register_step_pre_hook(lambda *_: self.watcher.before_step(network)),
                optimizer.register_step_post_hook(lambda *_: self.watcher.after_step(self._loss)),
            ):
                stack.callback(hook.remove)
            yield self

    def loss(self, loss: Tensor) -> None:
        """Keep the loss for the end of the step."""
        self._loss = loss.detach()


def ask(rival: Rival, case: Case, seed: int, steps: int) -> tuple[dict[str, bool], str | None]:
    """Train a case while a tool watches, and ask the tool.

    Args:
        rival: The tool.
        case: The case.
        seed: Of the training.
        steps: Of the training.

    Returns:
        {alarm: whether it is given}, and the tool's error if it ended with one.
    """
    given, error = attend(
        rival.watcher,
        (case, seed, steps),
        lambda watcher: {name: alarm(watcher) for name, alarm in rival.alarms.items()},
    )
    return given or dict.fromkeys(rival.alarms, False), error


def attend(
    tool: type[Watcher], trained: tuple[Case, int, int], read: Callable[[Any], Said]
) -> tuple[Said | None, str | None]:
    """Train while a tool watches, and read from it.

    Args:
        tool: Attaches it.
        trained: A case, its seed and the steps.
        read: Of the watcher, after the training.

    Returns:
        It; or None, and the tool's error in one line.
    """
    with (
        TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        attachment = Attachment(tool, Path(folder))
        try:
            training.train(*trained, attachment)
            return read(attachment.watcher), None
        except Exception as error:  # noqa: BLE001 - whatever a tool raises
            return None, " ".join(f"{type(error).__name__}: {error}".split())
