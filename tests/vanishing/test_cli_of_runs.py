"""`vanishing report` and `vanishing check` on trainings that were watched."""

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import vanishing
from tests.support.study import ROOT
from vanishing import cli
from vanishing.judging.runs import RULES, examine, load_run, problems
from vanishing.params.diagnose import Diagnose, Params
from vanishing.params.load import load
from vanishing.params.rules import read_rules
from vanishing.reporting.runs import summarize
from vanishing.results.blocks import block_of


def train(folder: Path, depth: int, activation: type[nn.Module], steps: int = 60) -> None:
    """Watch a network on two clouds of points; a ReLU gets He's initialisation."""
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(8, 8), activation()) for _ in range(depth)]
    model = nn.Sequential(nn.Sequential(*blocks), nn.Linear(8, 2))
    if activation is nn.ReLU:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with vanishing.watch(model, optimizer, folder=folder) as watch:
        for _ in range(steps):
            labels = torch.randint(2, (32,))
            points = torch.randn(32, 8) + 2 * labels[:, None]
            loss = cross_entropy(model(points), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            watch.loss(loss)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a run in which the gradient vanishes, and one that learns."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "deep", 20, nn.Sigmoid)
    train(folder / "healthy", 3, nn.ReLU)
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `vanishing` with arguments; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["vanishing", *map(str, arguments)])
    return cli.main()


def verdicts(folder: Path) -> dict[str, set[str]]:
    """Return {rule: its verdicts}."""
    rows: dict[str, set[str]] = {}
    for row in examine(load_run(folder), read_rules()):
        rows.setdefault(row["rule"], set()).add(row["verdict"])
    return rows


def test_a_vanishing_gradient_is_found_and_a_healthy_network_is_not_blamed(runs: Path) -> None:
    deep, healthy = verdicts(runs / "deep"), verdicts(runs / "healthy")
    for rule in ("vanishing_gradient", "vanishing_attenuation", "unchanged_tensor"):
        assert "problem" in deep[rule], rule
        assert healthy[rule] == {"fine"}, rule
    assert healthy["loss_not_decreasing"] == {"fine"}
    assert set(deep) == set(Diagnose.model_fields)
    for rule in set(Diagnose.model_fields) - set(RULES):
        assert deep[rule] == {"not applicable"}


def test_problems_name_the_worst_layer_and_the_gravest_comes_first(runs: Path) -> None:
    rows = problems(examine(load_run(runs / "deep"), read_rules()))
    by_rule = {row["rule"]: row for row in rows}
    assert by_rule["vanishing_attenuation"]["layer"] == "0.0.0"
    assert (rows[0]["kind"], rows[0]["rule"]) == ("fails", "loss_not_decreasing")
    warnings = [row for row in rows if row["kind"] == "warning"]
    assert rows[1 : 1 + len(warnings)] == warnings
    excess = [abs(math.log10(max(r["measured"], 1e-300) / r["threshold"])) for r in warnings]
    assert excess == sorted(excess, reverse=True)


def test_a_loss_that_is_not_finite_and_dead_units_are_problems(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    nn.init.constant_(model[0].bias, -100.0)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path / "dead") as watch:
        for step in range(5):
            loss = model(torch.ones(3, 4)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watch.loss(math.nan if step == 3 else loss)
    rules = {row["rule"] for row in problems(examine(load_run(tmp_path / "dead"), read_rules()))}
    assert {"dead_relu", "nonfinite_loss", "all_zero"} <= rules
    lines = summarize(load_run(tmp_path / "dead"), []).splitlines()
    (line,) = (line for line in lines if line.startswith("0 "))
    assert line.split()[-2:] == ["100%", "100%"]  # dead units, and constant ones
    assert "saturated_activation" not in rules  # a ReLU is flat where it is 0


def test_report_prints_the_answer_and_a_line_per_block_in_depth_order(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "report", runs / "deep", "--out", tmp_path) == 0
    verdict, first, *lines = capsys.readouterr().out.splitlines()
    assert verdict.startswith("deep: will not learn (after 60 steps). The loss is 100% of that of")
    assert "(rms(dL/dz) of a layer over that of the last one, at the start in 0.0.0: " in verdict
    counts = r"deep: \d of 12 rules find a problem: 1 fails, \d warnings"
    assert re.match(counts + r" \(11 traced steps, 21 layers\)", first)
    kinds = [line.split(":")[0] for line in lines if re.match(r"  (fails|warning|note): ", line)]
    assert kinds[:2] == ["  fails", "  warning"]
    page = (tmp_path / "README.md").read_text()
    assert verdict.removeprefix("deep: w") in page
    table = [line.split() for line in lines if re.match(r"0\.\d+ |1 ", line)]
    assert [row[0] for row in table] == [*(f"0.{i}" for i in range(20)), "1"]
    for column in (2, 4):  # dL/dh, and the gradient of the parameters
        gradients = [float(row[column]) for row in table]
        assert gradients == sorted(gradients)
    assert float(table[-1][2]) == 1
    (line,) = (line for line in lines if line.startswith("Along the network"))
    assert f"after 0.0 over that after 1: {table[0][2]} at the first traced step" in line
    page = (tmp_path / "README.md").read_text()
    assert "- warning: **vanishing_attenuation**: attenuation: " in page
    assert "![Gradients by layer and step](gradients.png)" in page
    assert (tmp_path / "gradients.png").read_bytes().startswith(b"\x89PNG")


def test_report_shows_the_gradient_of_recurrent_layers_through_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path / "lstm"):
        for _ in range(2):
            model(torch.randn(7, 2, 3))[0].square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert command(monkeypatch, "report", tmp_path / "lstm") == 0
    _, _, first, *_ = capsys.readouterr().out.splitlines()
    assert re.match(r"Through time, rms of \(model\) \w+_gradient_l\d\w* at t = [17] over", first)
    page = (tmp_path / "lstm/report/README.md").read_text()
    assert "![Gradients of recurrent layers by time step](through-time.png)" in page
    assert page.index("Through time, ") < page.index("| block")
    figure = (tmp_path / "lstm/report/through-time.png").read_bytes()
    assert figure.startswith(b"\x89PNG")


def test_report_sets_runs_side_by_side_and_writes_into_the_first(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "report", runs / "healthy", runs / "deep") == 0
    printed = capsys.readouterr().out
    assert printed.index("healthy: ") < printed.index("deep: ")
    page = (runs / "healthy/report/README.md").read_text()
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        str(runs / "healthy"),
        str(runs / "deep"),
    ]


def write_expectations(folder: Path, **rules: Any) -> Path:
    """Write a file of expectations."""
    path = folder / "expect.yaml"
    lines = [f"  {rule}: {str(value).lower()}" for rule, value in rules.items()]
    path.write_text("\n".join(["expect:", *lines]) + "\n")
    return path


def test_check_passes_where_all_is_as_expected(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_expectations(
        tmp_path, vanishing_attenuation=True, nonfinite_loss=False, learning="will not learn"
    )
    assert command(monkeypatch, "check", runs / "deep", "--expect", path) == 0
    assert capsys.readouterr().out == "deep: all 3 expectations hold\n"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"vanishing_attenuation": False},
            r"deep: vanishing_attenuation: expected none, found problem; attenuation: .*layer 0",
        ),
        ({"learning": "learns"}, r"learning: expected learns, found will not learn; will not"),
        ({"learning": True}, r"expect\.learning: should be one of .*learns.*; given True"),
        ({"nonfinite_loss": True}, r"nonfinite_loss: expected a problem, found fine"),
        ({"at_chance": True}, r"expect\.at_chance: needs records of a study"),
        ({"vanishing_gradeint": True}, r"vanishing_gradeint"),
    ],
)
def test_check_fails_in_one_line_and_says_why(
    rules: dict[str, bool | str],
    message: str,
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_expectations(tmp_path, **rules)
    assert command(monkeypatch, "check", runs / "deep", "--expect", path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_compare_names_verdicts_settings_and_blocks_that_differ(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "compare", runs / "deep", runs / "healthy") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert re.match(r"deep → healthy: \d+ verdicts changed, 1 setting changed, the loss of", first)
    assert "  parameters: 34 of the base alone, 0 of the head alone" in lines
    assert any(line.startswith("  vanishing_gradient: problem → fine; mean") for line in lines)
    assert any(line.startswith("  learning: will not learn → ") for line in lines)
    blocks = [line.split()[0] for line in lines if re.match(r"0\.\d+ |1 ", line)]
    assert blocks == ["0.0", "0.1", "0.2", "1", *(f"0.{i}" for i in range(3, 20))]


def test_a_run_does_not_differ_from_itself(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "compare", runs / "deep", runs / "deep") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("deep → deep: no verdicts changed, no settings changed")
    ratios = {line.split()[3] for line in lines if re.match(r"0\.\d+ |1 ", line)}
    assert ratios == {"1"}


def test_an_optimizer_of_other_settings_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate in (0.1, 0.2):
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        with vanishing.watch(model, optimizer, folder=tmp_path / str(rate)):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    assert command(monkeypatch, "compare", tmp_path / "0.1", tmp_path / "0.2") == 0
    printed = capsys.readouterr().out
    assert "0.1 → 0.2: no verdicts changed, 1 setting changed\n" in printed
    assert re.search(r"^  optimizers\.0\.groups\.0\.settings\.lr: 0\.1 → 0\.2$", printed, re.M)


def test_thresholds_of_a_file_take_the_place_of_the_packaged_ones(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "vanishing/params/rules.yaml").read_text()
    rules = tmp_path / "rules.yaml"
    rules.write_text(text.replace("below: 0.01\n", "below: 1.0e-300\n"))
    path = write_expectations(tmp_path, vanishing_attenuation=False)
    arguments = ["check", runs / "deep", "--expect", path]
    assert command(monkeypatch, *arguments) == 1
    assert command(monkeypatch, *arguments, "--rules", rules) == 0


def test_the_packaged_thresholds_are_those_of_the_study() -> None:
    assert read_rules() == load(Params, ROOT / "params.yaml").diagnose


def test_the_profile_of_debugger_has_its_rules_alone(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thresholds are the defaults that its documentation names."""
    profile = read_rules(Path("debugger"))
    rows = examine(load_run(runs / "deep"), profile)
    ours_alone = {"vanishing_attenuation", "exploding_attenuation", "nonfinite_loss", "at_chance"}
    assert {row["rule"] for row in rows} == set(Diagnose.model_fields) - ours_alone
    assert profile.vanishing_gradient.mean_abs_below == 1e-7
    assert (profile.overtraining.train_patience, profile.overtraining.test_patience) == (5, 10)
    path = write_expectations(tmp_path, vanishing_gradient=True)
    assert not command(monkeypatch, "check", runs / "deep", "--expect", path, "--rules", "debugger")


def test_a_folder_without_a_run_or_without_steps_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "report", tmp_path / "none") == 1
    assert "none: holds no run" in capsys.readouterr().err
    model = nn.Linear(2, 2)
    vanishing.watch(model, torch.optim.SGD(model.parameters()), folder=tmp_path / "new").close()
    assert command(monkeypatch, "report", tmp_path / "new") == 1
    assert "new: has no traced step yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("encoder.layers.17.self_attn.out_proj", "encoder.layers.17"),
        ("0", "0"),
        ("layer1.0.conv1", "layer1.0"),
        ("decoder.head", "decoder"),
        ("head", "head"),
        ("", ""),
    ],
)
def test_layers_are_gathered_in_blocks(layer: str, block: str) -> None:
    assert block_of(layer) == block


def test_report_writes_a_page_to_explore_that_needs_nothing_else(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not command(
        monkeypatch, "report", runs / "deep", runs / "healthy", "--html", "--out", tmp_path
    )
    page = (tmp_path / "index.html").read_text()
    assert "will not learn: deep" in page
    assert not re.search(r"(src|href)=", page)
    assert capsys.readouterr().out == f"{tmp_path / 'index.html'}: open it in a browser\n"
