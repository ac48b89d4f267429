"""The attenuation through time in a study's tables: by state, furthest from 1, and in verdicts."""

import math
from collections.abc import Sequence

import pandas as pd
import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import frame, random_study
from vanishing.judging import metrics
from vanishing.judging.article import CLAIMS, EXPECTED_SETTINGS, WRITTEN_DOWN
from vanishing.judging.ledger import Ledger
from vanishing.judging.study import judge_study
from vanishing.judging.through_time import attenuation_by_state, furthest_from_one
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.reporting import markdown

NAMES = ["relu", "sigmoid"]  # the second one vanishes


def states(
    tensor: str, rms: Sequence[float], variant: str = "v", seed: int = 0, epoch: int = 0
) -> pd.DataFrame:
    """Return rows of layers.parquet: the gradient of a state at each time step from 1."""
    rows = [
        (variant, seed, epoch, 0, 0, "rnn" if t == 1 else f"rnn#{t}", tensor, "rms", value)
        for t, value in enumerate(rms, start=1)
    ]
    return frame("layers", rows)


def by_tensor(rows: pd.DataFrame) -> dict[str, float]:
    """Return {tensor: its attenuation}, of one layer, seed and epoch."""
    attenuations = attenuation_by_state(rows)
    return dict(zip(attenuations["tensor"], attenuations["value"], strict=True))


def test_an_attenuation_is_of_the_first_time_step_over_the_last() -> None:
    steps = [0.5 ** (11 - t) for t in range(12)]  # more than nine: #10 is after #9
    rows = states("hidden_gradient_l0", steps)
    shuffled = rows.sample(frac=1, random_state=0)
    assert by_tensor(shuffled) == {"hidden_gradient_l0": 0.5**11}
    assert list(attenuation_by_state(rows)["layer"]) == ["rnn"]


def test_the_reverse_direction_begins_at_the_last_time_step() -> None:
    rows = states("hidden_gradient_l0_reverse", [8.0, 4.0, 2.0])
    assert by_tensor(rows) == {"hidden_gradient_l0_reverse": 0.25}


def test_a_gradient_of_zero_has_no_attenuation_or_one_without_bound() -> None:
    nothing, all_of_it = (states("hidden_gradient_l0", ends) for ends in ([0.0, 0.0], [1.0, 0.0]))
    assert math.isnan(by_tensor(nothing)["hidden_gradient_l0"])
    assert by_tensor(all_of_it) == {"hidden_gradient_l0": math.inf}


def test_other_tensors_and_statistics_are_no_states() -> None:
    cells = states("cell_gradient_l0", [1.0, 2.0])
    means = states("hidden_gradient_l0", [1.0, 2.0]).assign(statistic="mean_abs")
    assert attenuation_by_state(pd.concat([cells, means])).empty
    assert metrics.time_metrics(cells) == {}


def test_metrics_are_of_the_state_furthest_from_one_at_the_first_and_the_last_snapshot() -> None:
    rows = pd.concat(
        [
            states("hidden_gradient_l0", [0.1, 1.0], seed=0),
            states("hidden_gradient_l0", [0.3, 1.0], seed=1),
            states("hidden_gradient_l1", [3.0, 1.0], seed=0),
            states("hidden_gradient_l1", [3.0, 1.0], seed=1),
            states("hidden_gradient_l0", [0.9, 1.0], seed=0, epoch=5),
            states("hidden_gradient_l1", [3.0, 1.0], seed=0, epoch=5),
        ]
    )
    assert metrics.time_metrics(rows) == {
        "time_attenuation_init": pytest.approx(0.2),
        "time_attenuation_final": 3.0,
    }
    assert list(furthest_from_one(attenuation_by_state(rows)).index) == [0, 5]


def test_a_gradient_that_vanishes_through_time_is_in_the_verdict_and_in_the_table() -> None:
    shipped = load(Params, ROOT / "params.yaml")
    variants = {name: shipped.perceptrons[name].at_depth(3) for name in NAMES}
    settings = shipped.model_copy(update={"variants": variants})
    ledger = Ledger(CLAIMS, EXPECTED_SETTINGS, WRITTEN_DOWN)
    tables = random_study(NAMES)
    classes = dict.fromkeys(NAMES, 10)
    plain = judge_study(settings, tables, classes, ledger)
    assert plain.metrics["relu"]["verdict"].startswith("steady")
    assert "time_attenuation_init" not in plain.metrics["relu"]
    assert "through time" not in markdown.variants_table(settings, plain.metrics)

    gradients = states("hidden_gradient_l0", [1e-6, 1.0], variant="relu")
    recurrent = tables | {"layers": pd.concat([tables["layers"], gradients])}
    judgement = judge_study(settings, recurrent, classes, ledger)
    assert judgement.metrics["relu"]["verdict"].startswith("vanishing")
    assert judgement.metrics["relu"]["time_attenuation_init"] == 1e-6
    assert math.isnan(judgement.metrics["sigmoid"]["time_attenuation_init"])
    (check,) = [
        row
        for row in judgement.checks
        if row["verdict"] == "problem"
        and row["variant"] == "relu"
        and row["rule"] == "vanishing_attenuation"
    ]
    assert (check["quantity"], check["layer"]) == ("attenuation through time", "rnn")
    table = markdown.variants_table(settings, judgement.metrics)
    header, _, *lines = table.splitlines()
    column = [cell.strip() for cell in header.split("|")].index("through time at initialisation")
    (relu,) = [line.split("|") for line in lines if line.startswith("| relu ")]
    assert relu[column].strip() == "1e-06"


def hops(tensor: str, pairs: Sequence[tuple[float, float]]) -> list[tuple[object, ...]]:
    """Return rows of theory.parquet: predicted and measured hops of a state, from step 1."""
    return [
        ("v", 1, 0, f"{tensor}_hop#{step}", predicted, measured, 0.0, 0.0, 5)
        for step, (predicted, measured) in enumerate(pairs, start=1)
    ]


def test_theory_through_time_is_of_the_state_furthest_from_one() -> None:
    near = hops("hidden_gradient_l1", [(1.0, 0.9), (1.0, 0.9)])
    far = hops("hidden_gradient_l0", [(0.5, 0.25), (0.5, 0.5)])
    cells = hops("cell_gradient_l0", [(0.1, 0.001)])
    values = metrics.time_theory_metrics(frame("theory", near + far + cells))
    assert values == {
        "time_attenuation_theory": 0.25,
        "time_attenuation_fresh": 0.125,
        "time_hop_theory": pytest.approx(0.5),
        "time_hop_fresh": pytest.approx(math.sqrt(0.125)),
        "time_hop_deviation": 0.5,
    }
    table = markdown.time_theory_table({"v": values, "w": {"test_accuracy": 0.5}})
    assert table is not None
    assert "0.125" in table
    assert "| w" not in table


def test_without_theory_the_measured_factors_through_time_stand_alone() -> None:
    rows = hops("hidden_gradient_l0", [(math.nan, 0.5), (math.nan, 0.5)])
    values = metrics.time_theory_metrics(frame("theory", rows))
    assert values["time_attenuation_fresh"] == 0.25
    assert all(math.isnan(values[f"time_{key}"]) for key in ("attenuation_theory", "hop_deviation"))
    assert metrics.time_theory_metrics(frame("theory", [])) == {}
    assert markdown.time_theory_table({"v": {}}) is None
