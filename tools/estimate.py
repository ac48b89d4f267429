"""Estimate how long stages take on this machine: `python -m tools.estimate` measures a step.

In: params.yaml. Out, on stdout: the median of the seconds that a training step of the baseline
takes, on random images. All else is arithmetic: how many such steps a stage's work amounts to.
"""

import subprocess
import sys
import time
from collections.abc import Collection
from typing import NamedTuple

from vanishing.datasets.registry import DATASETS
from vanishing.errors import run_command
from vanishing.networks.memory import check_study, parameter_count
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.params.study import Recorded, Variant

_STEPS = 5
# Measured on two cores, in steps of the same network: a forward pass without gradients, and the
# statistics that are taken of one snapshot.
_FORWARD = 0.3
_STATISTICS = 40.0
_LIGHT_STAGE_S = 4.0  # a stage without torch


class Measurement(NamedTuple):
    """What this machine takes, in seconds.

    Attributes:
        start_s: To start a stage.
        step_s: For a training step of the baseline.
    """

    start_s: float
    step_s: float


def seconds(study: Measured, stages: Collection[str]) -> float | None:
    """Estimate the time that stages take, one after another.

    Args:
        study: Its parameters.
        stages: Their names, as DVC has them: train@relu-0.

    Returns:
        Seconds; None where a step cannot be measured, and the stages will say why.
    """
    heavy = [stage for stage in stages if "@" in stage]
    light_s = _LIGHT_STAGE_S * (len(stages) - len(heavy))
    if not heavy:
        return light_s
    measurement = measure()
    if measurement is None:
        return None
    steps = sum(steps_of(study, stage) for stage in heavy)
    return light_s + measurement.start_s * len(heavy) + measurement.step_s * steps


def steps_of(study: Measured, stage: str) -> float:
    """Return the work of a stage that needs torch, in training steps of the baseline.

    Args:
        study: Its parameters.
        stage: `train@VARIANT-SEED`, `extract@VARIANT-SEED` or `initialise@VARIANT`.
    """
    kind, _, item = stage.partition("@")
    variant = study.variants[item if kind == "initialise" else item.rpartition("-")[0]]
    if isinstance(variant, Recorded):
        return 0
    train, extract = study.train, study.extract
    if kind == "train":
        steps = train.epochs * study.data.train_examples / train.batch_size
        evaluated = study.data.test_examples + train.evaluation_size
        passes = (train.epochs + 1) * evaluated / train.batch_size * _FORWARD
        return (steps + passes) * _size(study, variant)
    if kind == "extract":
        passes = extract.probe_size / extract.batch_size + _STATISTICS
        return len(train.snapshots) * passes * _size(study, variant)
    passes = extract.init_probe_size / extract.batch_size + 1  # and building the network
    sweep = sum(_size(study, variant.at_depth(depth)) for depth in extract.sweep_depths)
    networks = extract.init_seeds * _size(study, variant) + extract.sweep_seeds * sweep
    return passes * networks


def _size(study: Measured, variant: Variant) -> float:
    """Return the parameters of a network, over those of the baseline."""
    dataset = DATASETS[study.data.dataset]
    ends = dataset.inputs, dataset.classes
    baseline = study.trained[study.baseline]
    return parameter_count(variant, *ends) / parameter_count(baseline, *ends)


def measure() -> Measurement | None:
    """Measure a step in a process of its own, which gives torch's memory back.

    Returns:
        The measurement; None if the process fails.
    """
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tools.estimate"], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        return None
    step_s = float(done.stdout)
    start_s = time.monotonic() - started_s - (_STEPS + 1) * step_s
    return Measurement(max(start_s, 0.0), step_s)


def main(_argv: list[str]) -> None:
    """Print the seconds that a training step of the baseline takes."""
    import torch  # noqa: PLC0415 - after `run_command` has prepared the environment
    from torch.nn.functional import cross_entropy  # noqa: PLC0415

    from vanishing import device  # noqa: PLC0415
    from vanishing.networks.build import build  # noqa: PLC0415
    from vanishing.training.sgd import SGD  # noqa: PLC0415

    study = load(Measured)
    dataset, size = DATASETS[study.data.dataset], study.train.batch_size
    check_study(study, dataset.inputs, dataset.classes)  # before a giant takes the memory
    target = device.resolve(study.train.device)
    generator = torch.Generator().manual_seed(0)
    variant = study.trained[study.baseline]
    network = build(variant, dataset.inputs, dataset.classes, generator).to(target)
    optimizer = SGD(network, study.train.learning_rate, study.train.momentum)
    images = torch.randn(size, dataset.inputs, generator=generator).to(target)
    labels = torch.randint(dataset.classes, (size,), generator=generator).to(target)
    times_s = []
    for _ in range(_STEPS + 1):  # the first one warms up
        started_s = time.monotonic()
        loss = cross_entropy(network(images), labels)
        optimizer.step(loss)
        loss.item()
        times_s.append(time.monotonic() - started_s)
    print(sorted(times_s[1:])[_STEPS // 2])


if __name__ == "__main__":
    sys.exit(run_command(main))
