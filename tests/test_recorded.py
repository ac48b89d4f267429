"""A variant that is a recorded run: it takes its place in a study, and nothing is trained."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from ruamel.yaml import YAML
from torch import nn

import vanishing
from tests.support import mlflow_server
from tests.support.documentation import code_blocks
from tests.support.dvc_repository import CLOSING, call, make, ran, repro
from tests.support.study import (
    ROOT,
    copy_study,
    link_code,
    read_files,
    run,
    tiny_params,
    write_params,
)
from tools import repro as make_repro
from tools import stale
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.files import read_json
from vanishing.params.diagnose import Judged, Params
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.pipeline.fingerprint import fingerprints
from vanishing.reporting import card
from vanishing.results import tables
from vanishing.tracking import contents, descriptions

PAGE = ROOT / "docs/studies.md"
RECIPE = next(block for block in code_blocks(PAGE, "python") if "vanishing.watch" in block)
VARIANTS: dict[str, Any] = YAML(typ="safe").load(
    next(block for block in code_blocks(PAGE, "yaml") if "recorded:" in block)
)["variants"]
OF_MINE = ["train@mine-0", "extract@mine-0", "initialise@mine"]


def record(seed: int = 0) -> None:
    """Record `runs/mine` as the page does."""
    torch.manual_seed(seed)
    exec(compile(RECIPE, str(PAGE), "exec"), {})  # noqa: S102


def with_mine(**changes: Any) -> dict[str, Any]:
    """Return the tiny parameters with the variant of the page."""
    content = tiny_params()
    content["variants"] |= {"mine": VARIANTS["mine"] | changes}
    return content


def run_stages_of_mine() -> None:
    """Call the stages of the recorded variant, and `diagnose`."""
    run("train", "mine", "0")
    run("extract", "mine", "0")
    run("initialise", "mine")
    run("diagnose")


@pytest.fixture(scope="module")
def recorded_folder(judged_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage but `track` of a study with a recorded run; for reading only."""
    folder = tmp_path_factory.mktemp("recorded")
    copy_study(judged_folder, folder)
    write_params(folder, with_mine())
    with contextlib.chdir(folder):
        record()
        run("fingerprint")
        run("validate")
        run_stages_of_mine()
        run("render")
        run("report")
    return folder


@pytest.fixture
def recorded(recorded_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this study as the working directory; for reading only."""
    monkeypatch.chdir(recorded_folder)
    return recorded_folder


@pytest.mark.slow
def test_the_tables_of_the_run_are_taken_over_and_the_others_are_empty(recorded: Path) -> None:
    for table in ("trace", "trace_histograms", "losses", "units"):
        theirs = vanishing.read_run("runs/mine", table)
        pd.testing.assert_frame_equal(
            tables.read(table, ["mine"], [0]), theirs.assign(variant="mine", seed=0)
        )
        assert len(theirs)
    for table in ("history", "layers", "histograms", "initialisation", "depths", "theory"):
        assert tables.read(table, ["mine"], [0]).empty
    written = read_json(paths.run_record("mine", 0))
    assert written["recorded"] == "runs/mine"
    assert written["watched"] == read_json(Path("runs/mine/run.json"))
    assert not list((recorded / "models/mine").rglob("*.safetensors"))


@pytest.mark.slow
def test_it_is_judged_drawn_and_reported_and_the_other_variants_are_as_before(
    recorded: Path, judged_folder: Path
) -> None:
    metrics, before = (read_json(folder / paths.METRICS) for folder in (recorded, judged_folder))
    mine = metrics.pop("mine")
    assert metrics == before
    assert list(mine) == list(metrics["sigmoid"])
    known = {key for key, value in mine.items() if value is not None}
    assert known == {
        "attenuation_init",
        "attenuation_final",
        "gradient_norm_first_start",
        "gradient_norm_first_end",
        "verdict",
    }
    assert mine["verdict"] == "steady, too early to say"
    for path in (paths.HEALTH, paths.CLAIMS, paths.RUNS):
        rows, others = (read_json(folder / path) for folder in (recorded, judged_folder))
        assert [row for row in rows if row.get("variant") != "mine"] == others
    verdicts = {
        row["rule"]: row["verdict"] for row in read_json(paths.HEALTH) if row["variant"] == "mine"
    }
    assert verdicts["learning"] == "too early to say"  # of so few steps
    silent = {rule for rule, verdict in verdicts.items() if verdict == "not applicable"}
    assert silent == {"saturated_activation", "overfit", "overtraining", "at_chance"}
    assert imread(paths.card("mine")).std() > 0.01
    report = paths.REPORT.read_text()
    assert "`mine` in `runs/mine`" in report
    assert "trains 3 variants of one network" in report
    row = next(line for line in report.splitlines() if line.startswith("| mine"))
    assert "sigmoid: recorded in runs/mine" in row
    assert row.count("does not apply") == 3
    for name in ("curves", "gradients"):
        assert set(pd.read_csv(paths.plot(name))["variant"]) == set(metrics)


@pytest.mark.slow
def test_the_code_that_the_report_shows_runs_with_a_recorded_run(recorded: Path) -> None:
    names: dict[str, Any] = {}
    blocks = code_blocks(recorded / paths.REPORT, "python")
    claims = {row["formula"]: row["effect"] for row in read_json(paths.CLAIMS)}
    formula = next(formula for formula in claims if "steps_to_half_loss" in formula)
    for block in (*blocks[:2], formula):
        exec(block, names)  # noqa: S102
    assert len(names["effect"]) == 1
    assert "mine" not in set(names["t"]["losses"]["variant"])


@pytest.mark.slow
def test_mlflow_has_its_gradients_and_the_settings_of_its_optimizer(recorded: Path) -> None:
    content = contents.of_run("mine", 0, None, {})
    names = {scalar.name for scalar in content.scalars}
    assert {"weight_gradient_00_0", "weight_gradient_02_5", "train_loss_batch"} == names - {
        "weight_gradient_01_2"
    }
    assert content.params["recorded"] == "runs/mine"
    assert content.params["optimizer.0.class"] == "AdamW"
    assert content.params["optimizer.0.0.lr"] == 0.001
    assert content.dataset is None
    assert {path.name for path in content.artifacts} >= {"run.json", "trace.parquet"}
    metrics = read_json(recorded / paths.METRICS)["mine"]
    (initial,) = contents.of_variant("mine", {0: None}, metrics["verdict"], {}).scalars
    assert initial.value == pytest.approx(metrics["attenuation_init"], rel=1e-5)
    text = descriptions.of_run(load(Study), "mine", 0, metrics)
    assert text.startswith("A training that `vanishing.watch` recorded in `runs/mine`")
    assert "test accuracy" not in text


class Recurrent(nn.Module):
    """An LSTM, whose weights have other names than `weight`, before a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (batch, steps, 4) to (batch, 3)."""
        logits: torch.Tensor = self.head(self.lstm(inputs)[0][:, -1])
        return logits


@pytest.mark.slow
def test_an_lstm_without_modules_and_losses_is_judged_by_its_gradients(judged_copy: Path) -> None:
    torch.manual_seed(0)
    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder="runs/mine", modules=False):
        for _ in range(4):
            model(torch.randn(5, 7, 4)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    write_params(judged_copy, with_mine())
    run_stages_of_mine()
    assert read_json(paths.METRICS)["mine"]["verdict"] == "not recorded, too early to say"
    verdicts = {
        row["rule"]: row["verdict"] for row in read_json(paths.HEALTH) if row["variant"] == "mine"
    }
    assert verdicts["vanishing_gradient"] == verdicts["update_ratio"] == "fine"
    assert verdicts["vanishing_attenuation"] == verdicts["loss_not_decreasing"] == "not applicable"
    names = {scalar.name for scalar in contents.of_run("mine", 0, None, {}).scalars}
    assert {"weight_gradient_00_lstm.weight_ih_l0", "weight_gradient_01_head"} < names
    frames = {table: tables.read(table, ["mine"], [0]) for table in card.TABLES_OF_RECORDED}
    figure = card.draw_recorded_card("mine", frames)
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [["not recorded"], ["not recorded"], [], []]


def no_run(folder: Path) -> None:
    """Leave a folder without a run."""
    folder.mkdir(parents=True)


def another_record(folder: Path) -> None:
    """Leave a folder that another program wrote."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"kind": "sweep", "machine": {}}))


def no_step(folder: Path) -> None:
    """Leave a run of which nothing is written yet."""
    model = nn.Linear(2, 2)
    vanishing.watch(model, torch.optim.SGD(model.parameters()), folder=folder).close()


def damaged(folder: Path) -> None:
    """Leave a run with a table that is no Parquet file."""
    no_step(folder)
    (folder / "trace.parquet").write_bytes(b"PAR1")


@pytest.mark.parametrize(
    ("leave", "reason"),
    [
        (None, "should be the folder of a run of vanishing.watch; given 'runs/mine', which has no"),
        (no_run, r"given 'runs/mine', which has no run\.json$"),
        (another_record, r"given 'runs/mine', whose run\.json describes no such run$"),
        (no_step, "should have a traced step; 'runs/mine' has none"),
        (damaged, r"runs/mine/trace\.parquet: cannot be read"),
    ],
)
def test_a_folder_without_a_run_is_refused_before_any_training(
    workspace: Path, leave: Callable[[Path], None] | None, reason: str
) -> None:
    if leave:
        leave(workspace / "runs/mine")
    write_params(workspace, with_mine())
    for stage in (("validate",), ("train", "mine", "0")):
        with pytest.raises(
            StudyError, match=rf"^params\.yaml: variants\.mine\.recorded: .*{reason}"
        ):
            run(*stage)
    assert not paths.VALIDATED.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"depth": 3}, "variants.mine.depth: unknown key; allowed: recorded, compare_to"),
        ({"recorded": "/runs/mine"}, "variants.mine.recorded: Input should be a folder, relative"),
        ({"compare_to": "sigmoi"}, "mine.compare_to: should be another variant (did you mean sig"),
        ({"compare_to": None}, "variants.mine.compare_to: Input should be a valid string"),
    ],
)
def test_a_recorded_variant_has_a_folder_and_a_reference_and_no_other_key(
    workspace: Path, changes: dict[str, Any], reason: str
) -> None:
    write_params(workspace, with_mine(**changes))
    with pytest.raises(StudyError) as error:
        load(Params)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_several_seeds_are_refused(workspace: Path) -> None:
    content = with_mine()
    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    message = r"train\.seeds: should be one seed, since variants\.mine is one recorded run; given"
    with pytest.raises(StudyError, match=message):
        load(Study)


@pytest.mark.slow
def test_the_fingerprint_of_the_variant_alone_has_the_files_of_the_run(workspace: Path) -> None:
    record()
    write_params(workspace, with_mine())
    link_code(workspace)
    before = fingerprints(load(Judged))
    run("fingerprint")
    assert make_repro.changed_recordings(load(Judged)) == []
    shutil.rmtree("runs/mine")
    record(seed=1)
    (workspace / "runs/mine/report").mkdir()  # by `vanishing report`
    (workspace / "runs/mine/report/README.md").write_text("a page")
    after = fingerprints(load(Judged))
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {paths.variant_fingerprint("mine")}
    assert "report" not in after[paths.variant_fingerprint("mine")]
    assert make_repro.changed_recordings(load(Judged)) == ["mine"]


@pytest.mark.slow
def test_a_change_of_the_run_runs_the_stages_of_its_variant_and_no_others(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository / "studies/mine"
    make(repository, "study", NAME="mine")
    monkeypatch.chdir(folder)
    record()
    content = with_mine()
    content["variants"] = {name: content["variants"][name] for name in ("sigmoid", "mine")}
    content |= {"root": "../..", "code": "../../vanishing/networks"}
    content["claims"] = f"../../{content['claims']}"
    content["expect"] = {"mine": {"vanishing_attenuation": False}}
    write_params(folder, content)
    printed = make(repository, "repro", STUDY="studies/mine")
    assert sorted(ran(printed)) == sorted(["fingerprint", "validate", *OF_MINE, *CLOSING])
    call(repository, "git", "add", ".")
    call(repository, "git", "commit", "-qm", "a recorded run")
    others = {
        name: text
        for name, text in read_files(folder / "data").items()
        if "mine" not in Path(name).parts
    }

    shutil.rmtree("runs/mine")
    record(seed=1)
    assert list(stale.stale_stages(stale.dvc_status())) == ["validate", *OF_MINE, *CLOSING]
    assert "runs/mine/trace.parquet" in make(repository, "stale", status=2, STUDY="studies/mine")
    printed = make(repository, "repro", STUDY="studies/mine")
    assert sorted(ran(printed)) == sorted(["fingerprint", "validate", *OF_MINE, *CLOSING])
    assert "up to date" in make(repository, "stale", STUDY="studies/mine")
    assert "all 1 expectations hold" in make(repository, "check", STUDY="studies/mine")
    after = read_files(folder / "data")
    assert {name: after[name] for name in others} == others
    runs = mlflow_server.runs(f"sqlite:///{repository}/mlflow.db", "vanishing-gradients-mine")
    names = [run.info.run_name for run in runs if "study.superseded" not in run.data.tags]
    assert sorted(name for name in names if name.startswith("mine")) == ["mine", "mine seed 0"]
    call(repository, "git", "add", ".")
    call(repository, "git", "commit", "-qm", "another run")
    review = make(repository, "review", STUDY="studies/mine", BASE="HEAD~1")
    assert "`mine`" in review

    # DVC alone sees the change where `code` holds the run, and removes nothing of the run.
    content["code"] = "runs"
    write_params(folder, content)
    shutil.rmtree("runs/mine")
    record(seed=2)
    assert sorted(repro(folder)) == sorted(["fingerprint", "validate", *OF_MINE, *CLOSING])
    del content["variants"]["mine"]
    write_params(folder, content | {"expect": {}})
    make(repository, "repro", STUDY="studies/mine")
    assert not list(folder.glob("data/*/mine"))
    assert not (folder / "models/mine").exists()
    assert (folder / "runs/mine/run.json").exists()
