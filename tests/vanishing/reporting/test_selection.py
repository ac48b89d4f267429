"""Which variants and epochs are shown of a study that is too large to be shown whole."""

from typing import Any

import pytest

from tests.support.study import ROOT
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.reporting import selection
from vanishing.reporting.selection import VARIANTS, choose_variants, spread, xavier_pairs


def study(*groups: tuple[str, int]) -> dict[str, dict[str, Any]]:
    """Make metrics of so many variants per verdict, with attenuations 0, 1, 2 and so on."""
    return {
        f"{verdict}-{index}": {"verdict": verdict, "attenuation_init": float(index)}
        for verdict, count in groups
        for index in range(count)
    }


def test_a_study_that_fits_is_shown_whole() -> None:
    metrics = study(("steady", VARIANTS))
    assert choose_variants(metrics, "steady-3") == list(metrics)


def test_of_a_larger_one_every_verdict_has_its_share_and_its_ends() -> None:
    metrics = study(("steady", 150), ("vanishing", 40), ("exploding", 2))
    names = choose_variants(metrics, "steady-75")
    assert len(names) == len(set(names)) == VARIANTS
    assert names == [name for name in metrics if name in names]
    counts = {v: sum(n.startswith(v) for n in names) for v in ("steady", "vanishing", "exploding")}
    assert counts["exploding"] == 2  # all of a rare one
    assert counts["vanishing"] >= 10
    ends = {"steady-0", "steady-149", "vanishing-0", "vanishing-39", "steady-75"}
    assert ends <= set(names)


def test_attenuations_that_are_not_finite_come_last_and_are_shown_too() -> None:
    metrics = study(("steady", 30), ("diverged", 30))
    for name, values in metrics.items():
        if name.startswith("diverged"):
            values["attenuation_init"] = None
    names = choose_variants(metrics, "steady-0")
    assert len(names) == VARIANTS
    assert any(name.startswith("diverged") for name in names)
    assert list(selection.by_verdict(metrics)) == ["steady", "diverged"]


def test_more_verdicts_than_places_fill_the_places_and_keep_the_baseline() -> None:
    metrics = study(*((f"v{i}", 1) for i in range(40)))
    names = choose_variants(metrics, "v39-0")
    assert len(names) == VARIANTS
    assert "v39-0" in names


@pytest.mark.parametrize(("length", "count"), [(0, 3), (1, 1), (5, 1), (5, 2), (5, 5), (501, 100)])
def test_a_spread_has_different_indices_and_both_ends(length: int, count: int) -> None:
    indices = spread(length, count)
    assert len(indices) == len(set(indices)) == min(length, count)
    assert indices == sorted(indices)
    if count > 1 and length:
        assert (indices[0], indices[-1]) == (0, length - 1)


def test_a_pair_differs_in_xavier_weights_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(Study, ROOT / "params.yaml")
    pairs = [("sigmoid", "sigmoid-xavier"), ("tanh", "tanh-xavier")]
    assert xavier_pairs(study, study.variants) == pairs
    without_tanh = [name for name in study.variants if name != "tanh"]
    assert xavier_pairs(study, without_tanh) == pairs[:1]
    deeper = {"sigmoid-xavier": study.perceptrons["sigmoid-xavier"].at_depth(9)}
    changed = study.model_copy(update={"variants": study.variants | deeper})
    assert xavier_pairs(changed, without_tanh) == []
    monkeypatch.setattr(selection, "PAIRS", 1)
    assert xavier_pairs(study, study.variants) == pairs[:1]
