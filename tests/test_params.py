"""Any value of any type at any key of params.yaml: it trains, or is refused in one line."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages import download, validate
from tests.support.study import tiny_params, write_params
from vanishing.datasets import examples
from vanishing.errors import StudyError
from vanishing.networks.build import build
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.paths import RAW
from vanishing.seeds import generator
from vanishing.training import loop
from vanishing.training.loop import State

INTEGERS = [-1, 0, 1, 2, 3, 17, 10**9, 10**9 + 1, 2**31, 2**63, 2**64, 10**30]
FLOATS = [0.0, -0.0, 5e-324, 1e-30, 0.5, 1.0, 1e30, 1e308, float("inf"), float("nan")]
TEXTS = ["", "relu", "sigmoid", "../x", "a b", "; touch pwned", "$(touch pwned)", "é", "null", "1"]
SCALARS = st.one_of(
    st.sampled_from([*INTEGERS, *FLOATS, *TEXTS, None, True, False]),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["C"]), max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3)
    ),
    max_leaves=5,
)


def locations(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every mapping's key and list's entry."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from locations(value, (*path, key))


def replace_at(content: dict[str, Any], location: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at one location."""
    copied = copy.deepcopy(content)
    target = copied
    for key in location[:-1]:
        target = target[key]
    target[location[-1]] = value
    return copied


def full_params() -> dict[str, Any]:
    """Return parameters that use every key."""
    content = tiny_params()
    content["train"] |= {"epochs": 1, "snapshots": [0, "last"], "seeds": [0, 1]}
    content["variants"]["relu"] |= {"init": "normal", "std": 0.1, "skip": True}
    content["expect"] = {"relu": {"vanishing_gradient": False}}
    return content


LOCATIONS = list(locations(full_params()))


class Nothing:
    """Shows no progress, and keeps no snapshot."""

    resumed = None

    def step(self) -> None:
        """Ignore."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Ignore."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Ignore."""

    def snapshot(self, epoch: int) -> None:
        """Ignore."""

    def keep(self, state: State) -> None:
        """Ignore."""


@pytest.fixture
def digits(workspace: Path) -> Path:
    """Give a workspace with the fixture's digits."""
    download.main([])
    return workspace


def train_a_step(params: Params) -> None:
    """Train every variant for an epoch of one batch, or a few."""
    data = {split: examples.load(RAW, split, params.data) for split in examples.SPLITS}
    size = min(params.train.batch_size, 20)
    few = {split: part.first(size) for split, part in data.items()}
    once = params.train.model_copy(update={"epochs": 1, "snapshots": (0, 1)})
    for seed in once.seeds:
        for variant in params.trained.values():
            network = build(variant, 784, 10, generator(seed, "initialisation"))
            order = generator(seed, "order")
            outcome = loop.train(network, once, few, order, Nothing(), Nothing())
            assert [row["epoch"] for row in outcome.history] == [0, 1]


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(location=st.sampled_from(LOCATIONS), value=VALUES)
def test_any_value_anywhere_trains_or_is_refused_in_one_line(
    digits: Path, location: tuple[Any, ...], value: Any
) -> None:
    write_params(digits, replace_at(full_params(), location, value))
    before = sorted(digits.rglob("*"))
    try:
        validate.main([])
    except StudyError as error:
        for line in str(error).splitlines():
            assert line.startswith("params.yaml: ")
            assert len(line) < 400
        (digits / "data/validated").unlink(missing_ok=True)
        assert sorted(digits.rglob("*")) == [p for p in before if p.name != "validated"]
        return
    train_a_step(load(Params))


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/b", "a b", "a;touch pwned", "$(touch pwned)", "`touch pwned`", "a|b", "a&b"),
        *("-rf", "a\nb", "A", "a@b", "a:b", "a.b", "${key}", "'", '"', "", "é", "x" * 65),
    ],
)
def test_a_name_that_a_shell_dvc_or_mlflow_could_misread_is_refused(
    workspace: Path, name: str
) -> None:
    content = tiny_params()
    content["variants"][name] = dict(content["variants"]["relu"])
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"params\.yaml: variants\."):
        validate.main([])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("location", "key"),
    [
        (("variants", "relu", "depth"), "variants.relu"),
        (("variants", "relu", "width"), "variants.relu"),
        (("extract", "sweep_depths", 2), "extract.sweep_depths"),
    ],
)
def test_a_network_larger_than_the_memory_is_refused_with_an_estimate(
    workspace: Path, location: tuple[Any, ...], key: str
) -> None:
    write_params(workspace, replace_at(tiny_params(), location, 10**9))
    with pytest.raises(StudyError, match=rf"params\.yaml: {key}: training it takes about [\d,.]+"):
        validate.main([])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]
