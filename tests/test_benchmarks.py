"""The benchmarks' own arithmetic and baselines; no test depends on a time."""

import math
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import baselines, extraction, load, measuring, pipeline, recording, scale, training
from benchmarks.measuring import Result, meets, ratio
from stages import download
from vanishing.errors import StudyError
from vanishing.files import write_json
from vanishing.params.load import load
from vanishing.params.study import Study

ARTICLE = [(784, 1000), *[(1000, 1000)] * 4, (1000, 10)]


@pytest.fixture
def digits(workspace: Path) -> Study:
    """Give the tiny study's parameters, with its images in place."""
    download.main([])
    return load(Study, workspace / "params.yaml")


def test_cases_take_turns() -> None:
    order: list[str] = []

    def case(name: str) -> measuring.Case:
        def run() -> float:
            order.append(name)
            return len(order)

        return run

    found = measuring.interleave({"a": case("a"), "b": case("b")}, 3, "label")
    assert order == ["a", "b"] * 3
    assert found == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_a_ratio_is_the_median_over_repeats_not_that_of_the_medians() -> None:
    assert ratio([2.0, 30.0, 6.0], [1.0, 10.0, 2.0]) == 3.0


def test_time_that_grows_with_the_variants_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(count: int, seconds: float) -> load.Row:
        own = {f"{stage}, {unit}": seconds for stage in load.STAGES for unit in ("s", "GiB")}
        return {"variants": count, **own}

    monkeypatch.setattr(load, "load", lambda: [row(5, 9.0), row(10, 0.1), row(30, 0.3)])
    memory, growth = load.measure()
    assert memory.value == 0.3
    assert growth.value == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        (2.3, ">= 2.2", True),
        (2.1, ">= 2.2", False),
        (1.5, "<= 1.5", True),
        (1.6, "<= 1.5", False),
        (None, "<= 1.5", None),
        (1.0, "", None),
    ],
)
def test_limits_have_a_direction(value: float | None, limit: str, expected: bool | None) -> None:
    assert meets(value, limit) is expected


def test_an_epoch_of_the_article_takes_1630_gigaflop() -> None:
    assert 600 * training.step_flop(ARTICLE, 100) / 1e9 == pytest.approx(1630, rel=0.01)


def test_products_are_those_of_a_layers_step() -> None:
    y, weight_gradient, x_gradient = (
        torch.mm(a, b).shape for a, b in training.products(784, 1000, 100)
    )
    assert (y, weight_gradient, x_gradient) == ((100, 1000), (1000, 784), (100, 784))


def test_the_usual_loop_learns(digits: Study) -> None:
    torch.manual_seed(0)
    loop = baselines.Usual(digits, torch.device("cpu"), 1000)
    assert loop.epoch() == pytest.approx(math.log(10), abs=0.1)


def test_recording_changes_nothing_of_the_step(digits: Study) -> None:
    plain, gradients, trace = (
        recording.Ours(digits, recording.endless(digits), depth=2, width=16) for _ in range(3)
    )
    for _ in range(3):
        plain.plain()
        gradients.gradients()
        trace.trace()
    for a, b, c in zip(
        *(each.network.parameters() for each in (plain, gradients, trace)), strict=True
    ):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_a_numpy_record_is_kept_of_every_parameter(digits: Study) -> None:
    model = baselines.network(depth=1, width=8)
    draw = recording.endless(digits)
    with baselines.numpy_histogram(model) as record:
        baselines.step(model, baselines.optimizer_of(model, digits), draw(), record)


def test_extraction_is_measured_on_a_copy(study: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in study.glob("data/statistics/*/*"))
    with extraction.scratch():
        assert Path("models").is_dir()
        assert not Path("data/statistics").exists()
    assert sorted(path.stat().st_mtime_ns for path in study.glob("data/statistics/*/*")) == before


def test_sizes_of_all_tables_add_up(study: Path) -> None:
    assert study == Path.cwd()
    *rows, total = scale.files()
    assert {row["table"] for row in rows} >= {"trace.parquet", "layers.parquet"}
    assert total["kB"] == pytest.approx(sum(row["kB"] for row in rows))
    assert total["rows"] == sum(row["rows"] for row in rows) > 0


def test_the_report_says_what_was_missed_and_what_was_not_measured() -> None:
    results = [
        Result("fast", 3.0, ">= 2.2", ">= 2.6", "×", "a over b"),
        Result("enough", 2.3, ">= 2.2", ">= 2.6", "×", ""),
        Result("slow", 2.0, ">= 2.2", ">= 2.6", "×", ""),
    ]
    found = {
        "machine": {"cores": 2, "gpu": None},
        "minutes": {"training": 1.0},
        "results": {"training": [each._asdict() for each in results]},
        "tables": {},
    }
    lines = {
        line.split("|")[1].strip(): line for line in bench.report(found).splitlines() if "|" in line
    }
    assert "| 3 ×" in lines["fast"]
    assert "| aim " in lines["fast"]
    assert "| met " in lines["enough"]
    assert "**missed**" in lines["slow"]
    assert "not measured: no GPU" in lines["a GPU: epoch, usual loop over ours, same GPU"]


def test_an_unknown_benchmark_is_named() -> None:
    with pytest.raises(StudyError, match="no benchmark trainnig; there are training, recording"):
        bench.main(["trainnig"])


def test_missing_data_are_named(workspace: Path) -> None:
    assert not (workspace / "data").exists()
    with pytest.raises(StudyError, match="data/raw is missing"):
        bench.main(["training"])


def test_there_are_as_many_true_stages_as_the_study_has(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workspace
    monkeypatch.chdir(Path(__file__).parent.parent)
    variants = load(Study).variants
    names = pipeline.stage_names()
    assert len(names) == len(set(names)) == 6 + 2 * len(variants)


def test_what_was_measured_on_this_machine_before_stays(workspace: Path) -> None:
    found: dict[str, object] = {"machine": {"cores": 2}, "minutes": {}, "results": {"a": []}}
    write_json(workspace / "reports/benchmarks.json", found)
    assert bench.known({"cores": 2}) == found
    assert bench.known({"cores": 4})["results"] == {}
