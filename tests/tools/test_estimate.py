"""The estimate of the time that stages take."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import ROOT, write_params
from tools import estimate
from tools.estimate import Measurement
from vanishing.errors import StudyError
from vanishing.params.extract import Measured
from vanishing.params.load import load


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give the content of the project's params.yaml, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    return loaded


@pytest.fixture
def params() -> Measured:
    """Give the project's parameters."""
    return load(Measured, ROOT / "params.yaml")


def test_light_stages_need_no_measurement(
    params: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "measure", lambda: pytest.fail("measured"))
    assert estimate.seconds(params, []) == 0
    one = estimate.seconds(params, ["report"])
    assert one
    assert estimate.seconds(params, ["render", "report"]) == 2 * one


def test_time_adds_up_over_stages_and_grows_with_a_step(
    params: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(step_s: float, *stages: str) -> float:
        monkeypatch.setattr(estimate, "measure", lambda: Measurement(2.0, {"sigmoid": step_s}))
        total = estimate.seconds(params, stages)
        assert total is not None
        return total

    train, extract, initialise = "train@sigmoid-0", "extract@sigmoid-0", "initialise@sigmoid"
    # 10 epochs of 600 steps; 11 evaluations of 200 batches, forward alone.
    assert seconds(0.1, train) == pytest.approx(2 + 0.1 * (6000 + 11 * 200 * 0.3))
    assert seconds(0.2, train) - 2 == pytest.approx(2 * (seconds(0.1, train) - 2))
    parts = [seconds(0.1, stage) for stage in (train, extract, initialise)]
    assert seconds(0.1, train, extract, initialise) == pytest.approx(sum(parts))
    assert seconds(0.1, "train@sigmoid-shallow-0") < seconds(0.1, train)


@pytest.mark.slow
def test_a_step_is_measured_on_this_machine(content: dict[str, Any]) -> None:
    content["variants"]["sigmoid"]["width"] = 8
    write_params(Path(), content)
    measurement = estimate.measure()
    assert measurement is not None
    assert list(measurement.steps_s) == ["sigmoid"]
    assert 0 < measurement.steps_s["sigmoid"] < 1
    assert measurement.start_s > measurement.steps_s["sigmoid"]


@pytest.mark.slow
def test_where_a_step_cannot_be_measured_there_is_no_estimate(content: dict[str, Any]) -> None:
    content["variants"]["sigmoid"]["width"] = 10_000_000  # more than any machine has
    write_params(Path(), content)
    with pytest.raises(StudyError, match=r"params\.yaml: variants\.sigmoid: .* GiB"):
        estimate.main([])
    assert estimate.seconds(load(Measured), ["train@sigmoid-0"]) is None
