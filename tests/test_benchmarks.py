"""The benchmarks' own arithmetic and baselines; no test depends on a time."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import (
    baselines,
    copies,
    extraction,
    load,
    measuring,
    neighbour,
    parallel,
    pipeline,
    recording,
    scale,
    study,
    training,
)
from benchmarks.measuring import Result, meets, ratio
from benchmarks.repository import repository
from stages import download
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.files import read_json, write_json
from vanishing.params.diagnose import Params
from vanishing.params.load import load as load_params
from vanishing.params.study import Study
from vanishing.pipeline import lock
from vanishing.results import run, tables

ARTICLE = [(784, 1000), *[(1000, 1000)] * 4, (1000, 10)]


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Give a small study with its images as the working directory, and its parameters."""
    content = study.small_params({"sigmoid": {}}, epochs=1, snapshots=[0, "last"])
    study.write_params(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    download.main([])
    return load_params(Study)


def test_cases_take_turns() -> None:
    order: list[str] = []

    def case(name: str) -> measuring.Case:
        def measure() -> float:
            order.append(name)
            return len(order)

        return measure

    figures = measuring.interleave({"a": case("a"), "b": case("b")}, 3, "label")
    assert order == ["a", "b"] * 3
    assert figures == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_a_ratio_is_the_median_over_repeats_not_that_of_the_medians() -> None:
    assert ratio([2.0, 30.0, 6.0], [1.0, 10.0, 2.0]) == 3.0


def test_a_command_that_fails_is_named_with_its_error() -> None:
    with pytest.raises(RuntimeError, match=r"-c raise SystemExit\('no disk'\): no disk"):
        measuring.command("-c", "raise SystemExit('no disk')")()


def test_time_that_grows_with_the_variants_is_linear() -> None:
    def row(count: int, figure: float) -> measuring.Row:
        figures = {f"{stage}, {unit}": figure for stage in load.STAGES for unit in ("s", "GiB")}
        return {"variants": count, **figures}

    memory, growth = load.summarise([row(5, 9.0), row(10, 0.1), row(30, 0.3)])
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
        torch.mm(a, b).shape for a, b in training.step_products(784, 1000, 100)
    )
    assert (y, weight_gradient, x_gradient) == ((100, 1000), (1000, 784), (100, 784))


@pytest.mark.slow
def test_both_loops_learn(digits: Study) -> None:
    torch.manual_seed(0)
    usual_loop = baselines.UsualLoop(digits, torch.device("cpu"), 1000)
    assert usual_loop.train_epoch() == pytest.approx(math.log(10), abs=0.1)
    images = training.load_images(digits, torch.device("cpu"))
    assert training.our_epoch_s(digits, images) > 0


def test_recording_does_not_change_the_weights(digits: Study) -> None:
    plain, gradients, trace = (
        recording.OurSteps(digits, digits.perceptrons["sigmoid"], recording.endless_batches(digits))
        for _ in range(3)
    )
    for _ in range(3):
        plain.plain()
        gradients.gradients()
        trace.trace()
    expected = neighbour.digests(plain.network)
    assert neighbour.digests(gradients.network) == expected
    assert neighbour.digests(trace.network) == expected


@pytest.mark.slow
def test_numpy_records_every_parameter(digits: Study) -> None:
    network = baselines.build_network(depth=1, width=8)
    optimizer = baselines.build_optimizer(network, digits)
    draw = recording.endless_batches(digits)
    with baselines.numpy_histogram(network) as record:
        baselines.take_step(network, optimizer, draw(), record)


def test_neighbours_have_the_lowest_priority_and_end_with_the_measurement() -> None:
    with neighbour.busy_neighbours(2) as processes:
        priorities = [os.getpriority(os.PRIO_PROCESS, process) for process in processes]
    assert priorities == [19, 19]
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_neighbour_ends_with_the_process_that_started_it() -> None:
    another_process = str(os.getppid())
    command = [sys.executable, "-c", neighbour.BUSY, another_process]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


@pytest.mark.slow
def test_waiting_threads_do_not_change_the_weights(
    digits: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digits
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with (
        neighbour.trainer(neighbour.WAYS["ours"]) as passive,
        neighbour.trainer(neighbour.WAYS["ours by default"]) as default,
    ):
        first, other, second = passive.take(2), default.take(2), passive.take(1)
    assert neighbour.differences(first, other) == 0
    assert neighbour.differences(first, second) == len(first.weights) == 8
    assert first.step_s > 0


def test_the_usual_step_trains_a_network_of_the_same_size(digits: Study) -> None:
    ours, _ = neighbour.our_step(digits)
    usual, step = neighbour.usual_step(digits)
    assert training.layer_shapes(usual) == training.layer_shapes(ours)
    before = neighbour.digests(usual)
    step()
    assert all(digest != before[name] for name, digest in neighbour.digests(usual).items())


def test_only_ours_waits_passively(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # as `environment.prepare` leaves it
    policies = {
        name: neighbour.trainer_environment(way).get("OMP_WAIT_POLICY")
        for name, way in neighbour.WAYS.items()
    }
    assert policies == {"ours": "passive", "ours by default": None, "usual": None}


def test_extraction_is_measured_on_a_copy(
    study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study_folder)
    before = sorted(path.stat().st_mtime_ns for path in Path("data").rglob("*"))
    with extraction.scratch_study():
        extraction.run_stages(seed=0)
        assert paths.table("layers", "sigmoid", 0).exists()
        assert paths.table("theory", "sigmoid").exists()
        assert not paths.table("layers", "relu", 0).exists()
    assert sorted(path.stat().st_mtime_ns for path in Path("data").rglob("*")) == before


def test_every_probed_network_is_passed_through(
    study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study_folder)
    networks = list(extraction.probed_networks(load_params(Params)))
    # Three snapshots; three initialisations at the variant's depth of 3, two at 1, 2 and 4 each.
    assert [len(probe.labels) for _, probe in networks] == [200] * 3 + [100] * (3 + 2 * 3)


def test_sizes_of_all_tables_add_up(study_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study_folder)
    *rows, total = scale.file_sizes()
    assert all(row["files"] == 3 for row in rows)  # one per variant
    assert {row["table"] for row in rows} >= {"trace", "layers", "theory"}
    assert total["kB"] == pytest.approx(sum(row["kB"] for row in rows))
    assert total["rows"] == sum(row["rows"] for row in rows) > 0


def test_copies_of_variants_are_a_study(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = study.read_params()
    content["variants"] = {"sigmoid": study.BASELINE, "relu": study.BASELINE}
    content["variants"]["relu"] = study.BASELINE | {"activation": "relu", "compare_to": "sigmoid"}
    copies.multiply(study_folder, tmp_path, content, 5)
    monkeypatch.chdir(tmp_path)
    names = list(load_params(Study).variants)
    assert names == ["sigmoid", "relu", "sigmoid-0002", "relu-0003", "sigmoid-0004"]
    history = tables.read("history", names, [0])
    assert history.groupby("variant")["test_loss"].last().nunique() == 2
    assert run.load("relu-0003", 0).network.model_dump()["activation"] == "relu"
    written = (paths.METRICS, paths.HEALTH, paths.CLAIMS, paths.REPORT, paths.figure("health"))
    for name in (*written, paths.plot("curves")):
        write_json(name, {})
    copies.write_lock(tmp_path, seed=0)
    locked = lock.read()
    assert set(locked.of_run("relu-0003", 0)) == {"train@relu-0003-0", "extract@relu-0003-0"}
    assert set(locked.of_report()) == {"diagnose", "render", "report"}


def test_the_report_says_what_was_missed_and_what_a_gpu_does() -> None:
    results = [
        Result("fast", 3.0, ">= 2.2", ">= 2.6", "×", "a over b"),
        Result("enough", 2.3, ">= 2.2", ">= 2.6", "×", ""),
        Result("slow", 2.0, ">= 2.2", ">= 2.6", "×", ""),
        Result("without a unit", 0, "<= 0", "", "", ""),
    ]
    content = {
        "machine": {"cores": 2, "gpu": None},
        "minutes": {"training": 1.0},
        "results": {"training": [result._asdict() for result in results]},
        "tables": {"load": [{"variants": 50}]},
    }
    on_gpu = {"machine": {"gpu": "NVIDIA X1"}, "minutes": {}, "results": {}, "tables": {}}
    report = bench.report([content, None, on_gpu])
    lines = {line.split("|")[1].strip(): line for line in report.splitlines() if "|" in line}
    assert "| 3 ×" in lines["fast"]
    assert "| aim " in lines["fast"]
    assert "| met " in lines["enough"]
    assert "**missed**" in lines["slow"]
    assert "| 0 " in lines["without a unit"]
    assert "NVIDIA X1" in report.split("## On a GPU")[1]
    assert f"## {bench.TITLES['load']}" in report
    assert bench.TITLES["growth"] not in report


def test_a_benchmark_leaves_its_figures_and_those_of_others(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.RAW.mkdir(parents=True)
    figures = measuring.Figures(
        [Result("one", 1.0, "", "", "s", "")], {"networks": [{"width": 250}]}
    )
    monkeypatch.setattr(scale, "measure", lambda: figures)
    monkeypatch.setattr(load, "measure", lambda: measuring.Figures([], {"load": [{"s": 1}]}))
    bench.main(["scale"])
    bench.main(["load"])
    content = read_json(workspace / "reports/benchmarks.json")
    assert content["results"]["scale"][0]["what"] == "one"
    assert content["tables"] == {"networks": [{"width": 250}], "load": [{"s": 1}]}
    assert "| one " in (workspace / "reports/benchmarks.md").read_text()


def test_figures_of_another_machine_do_not_stay(workspace: Path) -> None:
    content: dict[str, Any] = {"machine": {"cores": 2}, "minutes": {}, "results": {"a": []}}
    path = workspace / "reports/benchmarks.json"
    write_json(path, content)
    assert bench.read_figures(path, {"cores": 2}) == content
    assert bench.read_figures(path, {"cores": 4})["results"] == {}


def test_an_unknown_benchmark_is_named() -> None:
    with pytest.raises(StudyError, match="no benchmark trainnig; there are training, recording"):
        bench.main(["trainnig"])


def test_missing_data_are_named(workspace: Path) -> None:
    assert not (workspace / "data").exists()
    with pytest.raises(StudyError, match="data/raw is missing"):
        bench.main(["training"])


def test_the_stages_of_every_matrix_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study.ROOT)
    settings = load_params(Study)
    variants, runs = len(settings.variants), len(settings.variants) * len(settings.train.seeds)
    names = pipeline.stage_names()
    assert len(names) == len(set(names)) == 7 + variants + 2 * runs
    assert {"fingerprint", "track", "train@sigmoid-0", "initialise@relu"} <= set(names)


@pytest.mark.slow
def test_a_pipeline_of_true_stages_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipeline.true_stages(3) as folder:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            assert pipeline.stage_names() == ["stage-0", "stage-1", "stage-2"]
        assert "up to date" in measuring.run_python("-m", "dvc", "status", cwd=folder)


@pytest.mark.slow
def test_a_fan_has_a_stage_per_number() -> None:
    with repository(parallel.fan(3, "echo ${item.index}")) as folder:
        measuring.run_python("-m", "dvc", "repro", "-q", cwd=folder)
        contents = [(folder / f"{index}.txt").read_text().strip() for index in range(3)]
    assert contents == ["0", "1", "2"]


def test_the_study_that_runs_side_by_side_is_short_and_valid(tmp_path: Path) -> None:
    study.write_params(tmp_path, study.read_params())
    parallel.shorten(tmp_path / paths.PARAMS)
    settings = load_params(Params, tmp_path / paths.PARAMS)
    assert list(settings.variants) == list(parallel.VARIANTS)
    assert settings.train.epochs == 1


def test_a_stages_peak_memory_is_printed(digits: Study) -> None:
    assert digits
    printed = measuring.run_python("-m", "benchmarks.peak", "download", **study.ENVIRONMENT)
    memory = json.loads(printed.splitlines()[-1])
    assert 0 < memory["imported"] <= memory["peak"]
