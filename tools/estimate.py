"""Estimate how long stages take on this machine: `python -m tools.estimate` measures steps.

In: params.yaml and, of a dataset that a function returns, data/raw. Out, on stdout: the medians of
the seconds that a training step takes, by variant: of the first multilayer perceptron, on random
images, and of each network that a function returns. All else is arithmetic: how many such steps a
stage's work amounts to.
"""

import json
import subprocess
import sys
import time
from collections.abc import Collection
from typing import NamedTuple

from vanishing.datasets.registry import DATASETS
from vanishing.errors import run_command
from vanishing.networks.memory import check_study, parameter_count
from vanishing.params.data import Computed
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.params.study import Built, Recorded, TrainedVariant, Variant
from vanishing.paths import RAW

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
        steps_s: {variant: for a training step}, as `main` prints them.
    """

    start_s: float
    steps_s: dict[str, float]

    def step_s(self, variant: TrainedVariant, study: Measured) -> float:
        """Return the seconds of a step; of multilayer perceptrons in proportion to parameters."""
        if isinstance(variant, Built):
            name = next(name for name, other in study.trained.items() if other == variant)
            return self.steps_s[name]
        name, first = next(iter(study.perceptrons.items()))
        dataset = DATASETS.get(study.data.dataset)
        ends = (dataset.inputs, dataset.classes) if dataset else (1, 1)  # of others not known
        sizes = [parameter_count(network, *ends) for network in (variant, first)]
        return self.steps_s[name] * sizes[0] / sizes[1]


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
    work_s = sum(work(study, stage, measurement) for stage in heavy)
    return light_s + measurement.start_s * len(heavy) + work_s


def work(study: Measured, stage: str, measurement: Measurement) -> float:
    """Return the seconds of a stage that needs torch, without its start.

    Args:
        study: Its parameters.
        stage: `train@VARIANT-SEED`, `extract@VARIANT-SEED` or `initialise@VARIANT`.
        measurement: Of this machine.
    """
    kind, _, item = stage.partition("@")
    name = item if kind == "initialise" else item.rpartition("-")[0]
    variant = study.variants[name]
    if isinstance(variant, Recorded):
        return 0
    train, extract = study.training(name), study.extract
    step_s = measurement.step_s(variant, study)
    if kind == "train":
        steps = train.epochs * study.data.train_examples / train.batch_size
        evaluated = study.data.test_examples + train.evaluation_size
        passes = (train.epochs + 1) * evaluated / train.batch_size * _FORWARD
        return (steps + passes) * step_s
    if kind == "extract":
        passes = extract.probe_size / extract.batch_size + _STATISTICS
        return len(train.snapshots) * passes * step_s
    passes = extract.init_probe_size / extract.batch_size + 1  # and building the network
    networks_s = extract.init_seeds * step_s
    if isinstance(variant, Variant):
        deeper = [variant.at_depth(depth) for depth in extract.sweep_depths]
        networks_s += extract.sweep_seeds * sum(measurement.step_s(v, study) for v in deeper)
    return passes * networks_s


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
    steps_s = json.loads(done.stdout)
    start_s = time.monotonic() - started_s - (_STEPS + 1) * sum(steps_s.values())
    return Measurement(max(start_s, 0.0), steps_s)


def main(_argv: list[str]) -> None:
    """Print the seconds of training steps, as JSON by variant."""
    import torch  # noqa: PLC0415 - after `run_command` has prepared the environment
    from torch.nn.functional import cross_entropy  # noqa: PLC0415

    from vanishing import device  # noqa: PLC0415
    from vanishing.datasets import examples  # noqa: PLC0415
    from vanishing.networks.build import build  # noqa: PLC0415
    from vanishing.training.optimizers import make_optimizer  # noqa: PLC0415

    study = load(Measured)
    dataset = examples.describe(RAW, study.data)
    check_study(study, dataset)  # before a giant takes the memory
    target = device.resolve(study.train.device)
    names = list(study.perceptrons)[:1]
    names += [name for name, variant in study.trained.items() if isinstance(variant, Built)]
    medians_s = {}
    for name in names:
        generator = torch.Generator().manual_seed(0)
        size = study.training(name).batch_size
        if isinstance(study.data, Computed):
            inputs = examples.load(RAW, "train", study.data).inputs[:size].to(target)
        else:
            inputs = torch.randn(size, *dataset.shape, generator=generator).to(target)
        labels = torch.randint(dataset.classes, (len(inputs),), generator=generator).to(target)
        network = build(study.trained[name], dataset.inputs, dataset.classes, generator).to(target)
        optimizer = make_optimizer(network, study.training(name))
        times_s = []
        for _ in range(_STEPS + 1):  # the first one warms up
            started_s = time.monotonic()
            loss = cross_entropy(network(inputs), labels)
            optimizer.step(loss)
            loss.item()
            times_s.append(time.monotonic() - started_s)
        medians_s[name] = sorted(times_s[1:])[_STEPS // 2]
    print(json.dumps(medians_s))


if __name__ == "__main__":
    sys.exit(run_command(main))
