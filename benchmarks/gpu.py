"""The study on a GPU: its epochs against the usual loop's, and all of its stages."""

import itertools
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.baselines import UsualLoop
from benchmarks.measuring import (
    Figures,
    Result,
    interleave,
    milliseconds,
    ratio,
    run_python,
    seconds,
)
from benchmarks.study import ROOT
from benchmarks.training import VARIANT, Unrecorded, build_network, load_images
from vanishing.datasets.examples import Examples
from vanishing.environment import LIVE_METRICS
from vanishing.errors import StudyError
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import LIBRARY, PARAMS, PIPELINE, RAW, STAGES
from vanishing.recording.trace import Trace
from vanishing.seeds import generator
from vanishing.training import loop
from vanishing.training.steps import Steps

REPEATS = 5
_IMAGES = 15_000  # of an epoch of the usual loop, which takes seconds
_STEPS = 200
_CLOSING = ("diagnose", "render", "report")  # `track` mirrors them in MLflow, on no GPU


def measure() -> Figures:
    """Measure epochs, steps and stages.

    Returns:
        Their figures.

    Raises:
        StudyError: If torch sees no GPU.
    """
    if not torch.cuda.is_available():
        raise StudyError("benchmark gpu: torch sees no GPU here")
    study = load(Study)
    images = load_images(study, torch.device("cuda"))
    return Figures([*_epochs(study, images), *_steps(study, images), _all_stages(study)], {})


def _epochs(study: Study, images: Examples) -> list[Result]:
    """Compare an epoch of the study, one of all that a training run has, with the usual loop's."""
    few = images.first(_IMAGES)
    usual_loop = UsualLoop(study, few.labels.device, _IMAGES)
    cases = {
        "usual": lambda: seconds(usual_loop.train_epoch),
        "ours": lambda: _training_s(study, few) / study.train.epochs,
    }
    times_s = interleave(cases, REPEATS, "epoch")
    usual_s, ours_s = (statistics.median(times) for times in times_s.values())
    return [
        Result(
            "training epoch, usual loop over ours, same GPU",
            ratio(times_s["usual"], times_s["ours"]),
            ">= 40",
            ">= 100",
            "×",
            f"{usual_s:.2f} s over {ours_s:.4f} s for {_IMAGES:,} images, trace included",
        )
    ]


def _training_s(study: Study, images: Examples) -> float:
    """Time a training run of all its epochs with its trace, evaluated on one image."""
    network = build_network(study, study.perceptrons[VARIANT]).to(images.labels.device)
    changes = {"snapshots": (0,), "evaluation_size": 1}
    settings = study.train.of_one_seed().model_copy(update=changes)
    data = {"train": images, "test": images.first(1)}

    def train() -> None:
        order = generator(0, "order")
        loop.train(network, settings, data, order, Unrecorded(), Unrecorded())
        torch.cuda.synchronize()

    return seconds(train)


class _ReadsFromTheDevice(nn.Module):
    """A network that cannot be captured: its forward pass waits for the device."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.cuda.synchronize()
        logits: torch.Tensor = self._network(x)
        return logits


def _steps(study: Study, images: Examples) -> list[Result]:
    """Compare captured steps with the same steps kernel by kernel, and traced with plain ones."""
    captured = _make_steps(study, images, lambda network: network)
    eager = _make_steps(study, images, _ReadsFromTheDevice)
    cases = {
        "eager": partial(_step_s, eager, traced=False),
        "plain": partial(_step_s, captured, traced=False),
        "traced": partial(_step_s, captured, traced=True),
    }
    times_s = interleave(cases, REPEATS, "step")
    every = study.train.trace_every
    mixed = [
        (traced + (every - 1) * plain) / every
        for traced, plain in zip(times_s["traced"], times_s["plain"], strict=True)
    ]
    return [
        Result(
            "training step on a GPU, kernel by kernel over captured",
            ratio(times_s["eager"], times_s["plain"]),
            "",
            "",
            "×",
            f"{milliseconds(times_s['eager'])} over {milliseconds(times_s['plain'])}",
        ),
        Result(
            f"training on a GPU with its trace, one step in {every}, over plain steps",
            ratio(mixed, times_s["plain"]),
            "",
            "",
            "×",
            f"a traced step takes {milliseconds(times_s['traced'])}",
        ),
    ]


Wrapper = Callable[[nn.Module], nn.Module]


def _make_steps(study: Study, images: Examples, wrapper: Wrapper) -> tuple[Steps, Trace]:
    network = build_network(study, study.perceptrons[VARIANT]).to(images.labels.device).train()
    trace = Trace(network)
    return Steps(wrapper(network), study.train.of_one_seed(), images, trace), trace


def _step_s(steps_and_trace: tuple[Steps, Trace], traced: bool) -> float:
    """Time a step, as the mean of many."""
    steps, trace = steps_and_trace
    steps.begin(generator(0, "order"))
    steps.take(0, traced)  # captured now

    def take() -> None:
        for index in range(1, _STEPS + 1):
            observer = steps.take(index, traced)
            if observer is not None:
                trace.read(index, observer, steps.losses[index])
        torch.cuda.synchronize()

    return seconds(take) / _STEPS


def _all_stages(study: Study) -> Result:
    """Time every stage of every variant, as many side by side as there are cores, up to eight."""
    jobs = min(os.cpu_count() or 1, 8)
    waves = _waves(study)
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(Path(folder))
        wall_s = seconds(partial(_run_waves, waves, Path(folder), jobs))
    return Result(
        "a GPU: all variants, all stages but download and track, wall time",
        wall_s,
        "<= 120",
        "<= 45",
        "s",
        f"{len(list(itertools.chain(*waves)))} stages without DVC, {jobs} side by side",
    )


def _waves(study: Study) -> list[list[list[str]]]:
    """Return the stages' names and arguments; those of a wave need none of each other."""
    runs = [[name, str(seed)] for name in study.variants for seed in study.train.seeds]
    return [
        [["fingerprint"]],
        [["validate"]],
        [*(["train", *run] for run in runs), *(["initialise", name] for name in study.variants)],
        [["extract", *run] for run in runs],
        *([[stage]] for stage in _CLOSING),
    ]


def _lay_out(folder: Path) -> None:
    """Make a folder in which the study's stages run, on this code and these images."""
    shutil.copy(PARAMS, folder)
    for path in (PIPELINE, LIBRARY, STAGES):
        (folder / path).symlink_to(ROOT / path)
    shutil.copytree(RAW, folder / RAW)  # a link would be refused


def _run_waves(waves: list[list[list[str]]], folder: Path, jobs: int) -> None:
    """Run stages, wave after wave, each stage in a process of its own."""
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": modules, LIVE_METRICS: "0", "OMP_NUM_THREADS": "2"}

    def run(arguments: list[str]) -> None:
        run_python("-m", "stages", *arguments, cwd=folder, **environment)

    for wave in tqdm(waves, desc="stages", unit="wave", disable=None):
        with ThreadPoolExecutor(jobs) as executor:
            list(executor.map(run, wave))
