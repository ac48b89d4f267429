"""Estimate how long stages take on this machine: `python -m tools.estimate` measures a step.

In: params.yaml. Out, on stdout: the seconds that one training step of the baseline takes, on random
images, and the seconds that it took to get so far (to start Python, import torch and build the
network). Everything else is arithmetic: a stage's passes through networks, in units of that step.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

from vanishing import environment
from vanishing.datasets.registry import DATASETS
from vanishing.networks.memory import parameter_count
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.params.study import Variant

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


def seconds(study: Measured, stages: Iterable[str]) -> float:
    """Estimate the time that stages take, one after another.

    Args:
        study: Its parameters.
        stages: Their names, as DVC has them: train@relu-0.

    Returns:
        Seconds.
    """
    stages = list(stages)
    heavy = [stage for stage in stages if "@" in stage]
    light_s = _LIGHT_STAGE_S * (len(stages) - len(heavy))
    if not heavy:
        return light_s
    measurement = measured()
    steps = sum(_steps(study, stage) for stage in heavy)
    return light_s + measurement.start_s * len(heavy) + measurement.step_s * steps


def _steps(study: Measured, stage: str) -> float:
    """Return the work of a stage in steps of the baseline."""
    kind, _, item = stage.partition("@")
    name = item if kind == "initialise" else item.rpartition("-")[0]
    if name not in study.variants:  # of a variant that dvc.lock has and params.yaml has not
        return 0.0
    variant = study.variants[name]
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
    baseline = study.variants[study.baseline]
    return parameter_count(variant, *ends) / parameter_count(baseline, *ends)


def measured() -> Measurement:
    """Measure in a process of its own, which gives torch's memory back."""
    begun_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tools.estimate"], capture_output=True, text=True, check=True
    )
    step_s = float(json.loads(done.stdout))
    return Measurement(time.monotonic() - begun_s - (_STEPS + 1) * step_s, step_s)


def main() -> None:
    """Print the seconds that a training step of the baseline takes."""
    environment.prepare()
    import torch  # noqa: PLC0415 - after the environment is prepared
    from torch.nn.functional import cross_entropy  # noqa: PLC0415

    from vanishing import device  # noqa: PLC0415
    from vanishing.networks.build import build  # noqa: PLC0415
    from vanishing.training.sgd import SGDInBackward  # noqa: PLC0415

    study = load(Measured)
    dataset, size = DATASETS[study.data.dataset], study.train.batch_size
    target = device.resolve(study.train.device)
    order = torch.Generator().manual_seed(0)
    variant = study.variants[study.baseline]
    network = build(variant, dataset.inputs, dataset.classes, order).to(target)
    SGDInBackward(network, study.train.learning_rate, study.train.momentum)
    images = torch.randn(size, dataset.inputs, generator=order).to(target)
    labels = torch.randint(dataset.classes, (size,), generator=order).to(target)
    times_s = []
    for _ in range(_STEPS + 1):  # the first one warms up
        begun_s = time.monotonic()
        loss = cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()
        times_s.append(time.monotonic() - begun_s)
    print(json.dumps(sorted(times_s[1:])[_STEPS // 2]))


if __name__ == "__main__":
    main()
