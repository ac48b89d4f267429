"""In how many cases each tool records the gradient that the optimizer used.

The truth is a twin that reads `.grad` by hand just before each step, and the gradients of outputs
in hooks of their tensors. Each tool is compared in the quantity that it reports: `Quantity`.
"""

import contextlib
import io
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.cases import CASES, Case, Training
from benchmarks.measuring import Figures, Result, Row
from benchmarks.watchers import OURS, WATCHERS
from benchmarks.watchers.watcher import Quantity, Records, Watcher

Verdict = Literal["right", "wrong", "not recorded", "crash", "changes the weights"]
Gradients = dict[int, dict[str, list[Tensor]]]  # {step: {name: parts}}


class ByHand(Watcher):
    """Reads every gradient by hand.

    Attributes:
        parameters: {step: {parameter: its gradient}}, unscaled; not of a step that is skipped.
        outputs: {step: {module: the gradients of its outputs, of all its calls of the step}}, of
            `layers`; unscaled.
    """

    def __init__(self, training: Training, folder: Path) -> None:
        super().__init__(training.model, training.optimizers, folder)
        self._training = training
        self.parameters: Gradients = {}
        self.outputs: Gradients = {}
        self._pending: dict[str, list[Tensor]] = {}

    def __enter__(self) -> "ByHand":
        self._hooks = [self._listen(name, layer) for name, layer in layers(self.model).items()]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _listen(self, name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            output = outputs[0] if isinstance(outputs, tuple) else outputs
            if output.requires_grad:
                output.register_hook(
                    lambda gradient: self._pending.setdefault(name, []).append(gradient.clone())
                )

        return module.register_forward_hook(hook)

    def before_step(self, part: nn.Module, prefix: str = "") -> None:
        """Copy the gradients; of several evaluations of a closure the last one counts."""
        outputs, self._pending = self._pending, {}
        scaler, unscaled = self._training.scaler, self._training.unscaled
        scale = scaler.get_scale() if scaler else 1.0
        gradients = {
            prefix + name: [parameter.grad.detach() / (1.0 if unscaled else scale)]
            for name, parameter in part.named_parameters()
            if parameter.grad is not None
        }
        if scaler and not all(is_finite(parts) for parts in gradients.values()):
            return
        self.parameters.setdefault(self.step, {}).update(gradients)
        self.outputs.setdefault(self.step, {}).update(
            {
                name: [_elements(gradient) / scale for gradient in parts]
                for name, parts in outputs.items()
                if f"{name}.".startswith(prefix)
            }
        )


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return {name: module} of the modules that have parameters of their own."""
    return {
        name: module
        for name, module in model.named_modules()
        if list(module.parameters(recurse=False))
    }


def is_finite(parts: Sequence[Tensor]) -> bool:
    """Tell whether all elements are finite."""
    return all(bool(_elements(part).isfinite().all()) for part in parts)


def summarize(parts: Sequence[Tensor], quantity: Quantity) -> tuple[float, ...]:
    """Compute the norm or the range of all parts together; a complex number counts as two."""
    elements = torch.cat([_elements(part) for part in parts])
    if quantity.statistic == "norm":
        return (elements.norm().item(),)
    return elements.min().item(), elements.max().item()


def _elements(values: Tensor) -> Tensor:
    dense = values.to_dense() if values.is_sparse else values
    real = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    return real.reshape(-1).double()


def read_by_hand(case: Case) -> ByHand:
    """Train a case and read its gradients by hand."""
    training = Training(case)
    with ByHand(training, Path()) as twin:
        case.loop(training, twin)
    return twin


def expected(twin: ByHand, case: Case, quantity: Quantity) -> Records | None:
    """Return the truth of a quantity; None where the quantity says nothing of the step."""
    if quantity.subject == "output" and case.clips:
        return None
    gradients = twin.parameters if quantity.subject == "parameter" else twin.outputs
    return {
        step: {name: summarize(parts, quantity) for name, parts in rows.items()}
        for step, rows in gradients.items()
    }


def judge(tool: type[Watcher], case: Case, twin: ByHand) -> Verdict:
    """Train a case under a tool and compare what it recorded with what the twin read.

    Returns:
        `crash` if the training or the tool raises an error; `changes the weights` if these are
        not those of the twin; `wrong` if a number differs by more than the case's tolerance, or is
        of a gradient that there was not; `not recorded` if one is missing, or if the quantity
        does not tell what the optimizer used.
    """
    training = Training(case, compiled=case.compiles)
    # torchmortem, NeuralDBG and wandb print, warn, and write into the working directory.
    with TemporaryDirectory() as folder, quiet_in(folder):
        watcher = tool(training.model, training.optimizers, Path(folder))
        try:
            with watcher:
                case.loop(training, watcher)
        except Exception:  # noqa: BLE001 - whatever a tool raises
            return "crash"
        records = watcher.records()
    if _weights_differ(training.model, twin.model, case.tolerance):
        return "changes the weights"
    truth = expected(twin, case, tool.quantity)
    return "not recorded" if truth is None else compare(records, truth, twin, case.tolerance)


def compare(records: Records, truth: Records, twin: ByHand, tolerance: float) -> Verdict:
    """Compare all steps; names that are neither a parameter's nor a layer's do not count."""
    known = {name for name, _ in twin.model.named_parameters()} | set(layers(twin.model))
    steps = truth | records
    pairs = [
        (records.get(step, {}).get(name, ()), truth.get(step, {}).get(name, ()))
        for step in steps
        for name in known
    ]
    # What is not finite says that the gradient was not usable.
    pairs = [(numbers if all(map(math.isfinite, numbers)) else (), true) for numbers, true in pairs]
    if any(numbers and not _close(numbers, true, tolerance) for numbers, true in pairs):
        return "wrong"
    return "not recorded" if any(true and not numbers for numbers, true in pairs) else "right"


def _close(numbers: tuple[float, ...], truth: tuple[float, ...], tolerance: float) -> bool:
    largest = max(map(abs, truth), default=0.0)
    return len(numbers) == len(truth) and all(
        abs(number - true) <= tolerance * largest
        for number, true in zip(numbers, truth, strict=True)
    )


def _weights_differ(model: nn.Module, twin: nn.Module, tolerance: float) -> bool:
    # A compiled network rounds differently from the twin's hooks on.
    return any(
        not torch.allclose(parameter, other, rtol=tolerance, atol=tolerance)
        for parameter, other in zip(model.parameters(), twin.parameters(), strict=True)
    )


@contextlib.contextmanager
def quiet_in(folder: str) -> Iterator[None]:
    """Work in a folder, and let nothing be printed."""
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def measure() -> Figures:
    """Judge every tool in every case."""
    rows: list[Row] = []
    for name, case in tqdm(CASES.items(), desc="correctness", unit="case", disable=None):
        twin = read_by_hand(case)
        verdicts = {tool: judge(watcher, case, twin) for tool, watcher in WATCHERS.items()}
        rows.append({"case": name, **verdicts})
    return Figures([_count(rows, tool) for tool in WATCHERS], {"correctness": rows})


def _count(rows: list[Row], tool: str) -> Result:
    counts = Counter(row[tool] for row in rows)
    limit = "<= 0" if tool == OURS else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    return Result(
        f"{tool}: cases of {len(rows)} in which it does not record the gradient that was used",
        len(rows) - counts["right"],
        limit,
        limit,
        "",
        kinds,
    )
