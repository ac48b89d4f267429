"""The counting of `make bench NAMES=gate`; that the gate is right is measured, not tested."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import gate
from benchmarks.zoo import rates
from benchmarks.zoo.cases import CASES
from vanishing.errors import StudyError

HEALTHY = next(case for case in CASES if case.name == "mnist-mlp-relu-1-momentum")


def judgement(fault: str | None, truth: str, *checks: str) -> gate.Judgement:
    """Return what the gate said of a case with a fault."""
    return gate.Judgement(replace(HEALTHY, fault=fault), "development", truth, checks)


def test_cases_are_counted_by_truth_and_kind_of_fault() -> None:
    figures = gate.summarize(
        [
            judgement("dead-relu", gate.FAILS, "dead units", "loss"),
            judgement("epsilon-0.1", gate.FAILS),
            judgement("shuffled-labels", gate.FAILS),
            judgement(None, gate.LEARNS),
            judgement("detached", gate.LEARNS, "connected"),
        ]
    )
    values = {result.what: result.value for result in figures.results}
    assert values == {
        "gate, development: share caught, of those that will not learn and can show it": 0.5,
        "gate, development: share stopped, of those that learn, without detached layers": 0.0,
        "gate, development: share caught, of faults that one batch cannot show": 0.0,
        "gate, development: share stopped, with detached layers, learn": 1.0,
    }
    assert figures.tables["gate"][0]["by the gravest check"] == "1 dead units"
    assert figures.tables["gate"][0]["wrongly"] == HEALTHY.name


def test_the_interval_is_wilson_s() -> None:
    assert rates.wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)  # z² / (n + z²)


def test_the_lists_name_faults_of_the_zoo() -> None:
    faults = {case.fault for case in CASES}
    assert faults >= gate.NOT_SHOWN | gate.DETACHED


def test_warm_up_and_clipping_come_before_each_step() -> None:
    case = replace(HEALTHY, settings={"lr": 0.1}, warm_up=4, clip=1.0)
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = gate.make_optimizer(case, [parameter])
    places = []
    for _ in range(5):
        parameter.grad = torch.tensor([30.0, 40.0])
        optimizer.step()
        places.append(float(parameter.detach()[0]))
    assert places == pytest.approx([-0.015, -0.045, -0.09, -0.15, -0.21], rel=1e-4)


def test_without_the_truth_there_is_nothing_to_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"python -m benchmarks\.zoo"):
        gate.measure()
