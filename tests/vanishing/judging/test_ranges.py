"""Where networks stop: the points that differ in one number, and the words for their range."""

import math
from typing import Any

import pytest

from tests.support.study import BASELINE, tiny_params
from vanishing.judging.ranges import (
    LEARNED,
    Point,
    Results,
    describe_range,
    points_along,
    six_depth_scales,
)
from vanishing.params.study import Study

RANGES = [
    ([True, True, False, False], "stops between 10 and 20 layers"),
    ([True] * 4, "trains up to 50 layers, the most that was measured"),
    ([False] * 4, "fails from 5 layers on, the least that was measured"),
    ([True, False, True, False], "trains at 5, 20 layers alone"),
    ([False], "fails at 5 layers, no other measured"),
    ([True], "trains at 5 layers, no other measured"),
]


@pytest.mark.parametrize(("trains", "words"), RANGES)
def test_a_range_is_between_the_last_that_trains_and_the_first_that_fails(
    trains: list[bool], words: str
) -> None:
    depths = (5, 10, 20, 50)
    points = [
        Point(f"at-{depth}", depth, 0.9 if works else 0.1)
        for depth, works in zip(depths, trains, strict=False)
    ]
    assert describe_range(points, "layers") == words


@pytest.mark.parametrize("accuracy", [LEARNED, math.nan])
def test_a_network_at_the_limit_or_without_an_accuracy_does_not_train(accuracy: float) -> None:
    assert describe_range([Point("one", 5, accuracy)]) == "fails at 5, no other measured"


def test_points_differ_in_the_setting_alone() -> None:
    one: dict[str, Any] = dict(BASELINE) | {"depth": 2}
    others = {
        "deeper": one | {"depth": 9},
        "deep": one | {"depth": 4},
        "wider": one | {"width": one["width"] + 1},
        "skipping": one | {"depth": 3, "skip": True},
        "adam": one | {"depth": 3, "optimizer": {"name": "adam", "learning_rate": 0.01}},
        "clipped": one | {"depth": 3, "clip_norm": 1.0},
    }
    variants = {name: variant | {"compare_to": "one"} for name, variant in others.items()}
    study = Study.model_validate(tiny_params() | {"variants": {"one": one} | variants})
    metrics = {name: {"test_accuracy": 0.25} for name in study.variants}
    results = Results(study, metrics | {"deep": {"test_accuracy": None}}, [])
    depths = points_along(results, "one", "depth")
    assert [(point.variant, point.value) for point in depths] == [
        ("one", 2),
        ("deep", 4),
        ("deeper", 9),
    ]
    assert math.isnan(depths[1].accuracy)
    assert depths[2].accuracy == 0.25
    assert [point.variant for point in points_along(results, "one", "width")] == ["one", "wider"]


def test_after_six_depth_scales_exp_of_minus_3_is_left() -> None:
    for hop in (0.14, 0.58, 0.99):
        assert hop ** six_depth_scales(hop) == pytest.approx(math.exp(-3))
    assert six_depth_scales(1.0) == six_depth_scales(1.1) == math.inf
