"""The split is frozen: a case never moves to another half."""

from collections import Counter

from benchmarks.zoo.cases import CASES
from benchmarks.zoo.split import half

BY_NAME = {case.name: case for case in CASES}


def test_counts() -> None:
    assert Counter(map(half, CASES)) == {"development": 177, "held out": 369, "unseen": 80}


def test_a_family_is_in_one_half() -> None:
    assert all(half(case) == half(BY_NAME[case.family]) for case in CASES)


def test_some_names() -> None:
    names = {
        "mnist-mlp-relu-1-adam": "held out",
        "mnist-transformer-pre-1-adam": "development",
        "mnist-mlp-tanh-6-momentum-warm-up-200": "held out",
        "mnist-residual-plain-relu-2-adam+head-weights-100": "held out",
        "mnist-residual-post-relu-4-adam+epsilon-0.1": "held out",
        "mnist-mlp-relu-6-batchnorm-adam+frozen-head": "held out",
        "mnist-mlp-relu-10-batchnorm-adam+statistics-frozen": "development",
        "digits-mlp-sigmoid-2-w128-adam-rate-0.003": "unseen",
    }
    assert {name: half(BY_NAME[name]) for name in names} == names
