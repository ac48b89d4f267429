"""A study of the user's own networks, examples and optimizers, through every stage."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from tests.conftest import make_once
from tests.support.documentation import code_blocks
from tests.support.study import BASELINE, ROOT, link_code, run, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.files import read_json
from vanishing.params.study import Study
from vanishing.theory import prediction

PAGE = ROOT / "docs/studies.md"
DIGITS = next(block for block in code_blocks(PAGE, "python") if "def digits" in block)
NETS = """
from torch import nn


def convolutional(channels):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(36 * channels, 10),
    )


class Recurrent(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lstm = nn.LSTM(8, width, batch_first=True)
        self.output = nn.Linear(width, 10)

    def forward(self, x):
        return self.output(self.lstm(x.squeeze(1))[0][:, -1])


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.linear, self.relu = nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU()

    def forward(self, h):
        return h + self.relu(self.linear(self.norm(h)))


def residual(depth, width=16):
    blocks = [Residual(width) for _ in range(depth)]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), *blocks, nn.Linear(width, 10))


def one_layer():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
TRAINED = ("convolutional", "lstm", "residual", "one-layer", "sigmoid", "adam")


def params() -> dict[str, Any]:
    """Return the content of params.yaml: no multilayer perceptron is the baseline."""
    content = tiny_params() | {"code": "nets.py"}
    content["data"] = {
        "dataset": "nets:digits",
        "arguments": {"test": 297},
        "train_examples": 1500,
        "test_examples": 297,
    }
    content["variants"] = {
        "convolutional": {"network": "nets:convolutional", "arguments": {"channels": 4}},
        "lstm": {
            "network": "nets:Recurrent",
            "arguments": {"width": 12},
            "optimizer": {"name": "rmsprop", "learning_rate": 0.003},
            "compare_to": "convolutional",
        },
        "residual": {
            "network": "nets:residual",
            "arguments": {"depth": 3},
            "clip_norm": 1.0,
            "compare_to": "convolutional",
        },
        "one-layer": {"network": "nets:one_layer", "compare_to": "residual", "clip_norm": 1.0},
        "sigmoid": BASELINE | {"compare_to": "residual"},
        "adam": BASELINE
        | {"optimizer": {"name": "adam", "learning_rate": 0.001}, "compare_to": "sigmoid"},
    }
    return content


def lay_out(folder: Path) -> None:
    """Write params.yaml and the module of a study, and link to the code."""
    write_params(folder, params())
    (folder / "nets.py").write_text(DIGITS + NETS)
    link_code(folder)


def check_parameters() -> None:
    """Run the stages before any training."""
    for stage in ("fingerprint", "download", "validate"):
        run(stage)


@contextlib.contextmanager
def own_modules() -> Iterator[None]:
    """Forget the modules that a study brought, and from which folder."""
    before = list(sys.path)
    sys.modules.pop("nets", None)
    try:
        yield
    finally:
        sys.path[:] = before
        sys.modules.pop("nets", None)


@pytest.fixture(scope="session")
def own_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage but `track` once; for reading only."""

    def fill(folder: Path) -> None:
        lay_out(folder)
        with contextlib.chdir(folder), own_modules():
            check_parameters()
            for name in TRAINED:
                run("train", name, "0")
                run("extract", name, "0")
                run("initialise", name)
            for stage in ("diagnose", "render", "report"):
                run(stage)

    return make_once(tmp_path_factory, "own", fill)


def rows(study: Path, table: str, variant: str) -> pd.DataFrame:
    """Return a table of a variant."""
    folder = study / "data/initialisation" if table in {"theory", "initialisation"} else None
    path = (
        folder / variant / f"{table}.parquet"
        if folder
        else next((study / "data").glob(f"*/{variant}/seed-0/{table}.parquet"))
    )
    return pd.read_parquet(path)


def test_every_network_learns_and_is_judged(own_study: Path) -> None:
    metrics = read_json(own_study / "reports/metrics.json")
    assert list(metrics) == list(TRAINED)
    assert metrics["convolutional"]["test_accuracy"] > 0.8
    assert metrics["residual"]["attenuation_fresh"] > 0.3
    for name in ("convolutional", "lstm"):
        assert metrics[name]["attenuation_theory"] is None
        assert metrics[name]["attenuation_init"] is not None
    residual = metrics["residual"]  # 16 units, which is far from many
    assert residual["attenuation_theory"] == pytest.approx(residual["attenuation_fresh"], rel=0.3)
    assert residual["hop_deviation"] < 0.3
    assert metrics["sigmoid"]["attenuation_theory"] is not None
    assert metrics["one-layer"]["attenuation_init"] is None  # there is no hidden layer
    health = read_json(own_study / "reports/health.json")
    verdicts = {(row["variant"], row["rule"]): row["verdict"] for row in health}
    assert verdicts["lstm", "saturated_activation"] == "not applicable"
    assert verdicts["one-layer", "vanishing_attenuation"] == "not applicable"
    assert verdicts["convolutional", "dead_relu"] == "fine"
    assert verdicts["adam", "saturated_activation"] == "fine"


def test_blocks_and_time_are_in_the_tables_of_snapshots_and_of_initialisations(
    own_study: Path,
) -> None:
    for table in ("layers", "initialisation"):
        streams = rows(own_study, table, "residual").query(
            "tensor == 'stream_gradient' and statistic == 'rms'"
        )
        assert streams["layer"].unique().tolist() == ["2", "3", "4"]
        times = rows(own_study, table, "lstm").query("tensor == 'hidden_gradient_l0'")
        assert times["layer"].unique().tolist() == ["lstm", *(f"lstm#{t}" for t in range(2, 9))]
        assert (times["value"] > 0).all()


def test_the_trace_has_every_weight_and_the_gradient_after_clipping(own_study: Path) -> None:
    trace = rows(own_study, "trace", "lstm")
    assert {"weight_ih_l0_gradient", "weight_hh_l0_update", "weight_gradient"} <= {*trace["tensor"]}
    norms = rows(own_study, "trace", "residual").query("statistic == 'l2_norm'")
    gradients = norms[norms["tensor"].str.endswith("_gradient")]
    by_step = (gradients["value"] ** 2).groupby(gradients["step"]).sum() ** 0.5
    assert by_step.max() <= 1.0001  # without those of the normalizations
    assert by_step.min() > 0.1


def test_the_record_of_a_run_says_how_it_was_trained(own_study: Path) -> None:
    lstm = read_json(own_study / "data/training/lstm/seed-0/run.json")
    assert lstm["network"]["network"] == "nets:Recurrent"
    assert lstm["network"]["arguments"] == {"width": 12}
    assert lstm["train"]["optimizer"] == {
        "name": "rmsprop",
        "learning_rate": 0.003,
        "alpha": 0.99,
        "epsilon": 1e-8,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }
    assert (lstm["inputs"], lstm["classes"]) == (64, 10)


def test_the_report_names_what_differs_and_draws_what_there_is(own_study: Path) -> None:
    report = (own_study / "reports/README.md").read_text()
    assert "# Vanishing gradients on nets:digits: 6 networks measured" in report
    assert "convolutional: network nets:recurrent, optimizer rmsprop, learning_rate 0.003" in report
    assert "residual: network nets:one_layer" in report
    assert "sigmoid: optimizer adam, learning_rate 0.001" in report
    assert "Settings of their own have lstm, residual, one-layer, adam" in report
    assert "Pixels are scaled" not in report
    assert "share one data set." in report
    figures = re.findall(r"\(figures/([\w/-]+\.png)\)", report)
    assert {"gradient-through-time.png", "gradient-along-stream.png"} <= {*figures}
    for name in figures:
        assert (own_study / "reports/figures" / name).stat().st_size > 5_000, name


def test_a_network_has_theory_or_the_reason_why_not(
    own_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_study)
    with own_modules():
        study = Study.model_validate(params())
        text = prediction.describe("residual", study.variants["residual"], study.data, 1e-7)
        assert re.search(r"^ +1 +2\.linear +\d", text, re.M)
        for name, reason in (
            ("convolutional", "1: batch normalization couples"),
            ("lstm", "lstm: gates multiply"),
        ):
            with pytest.raises(StudyError, match=rf"^{name}: no theory available: {reason}"):
                prediction.describe(name, study.variants[name], study.data, 1e-7)


def test_variants_are_written_as_the_page_shows() -> None:
    block = next(block for block in code_blocks(PAGE, "yaml") if "nets:gated" in block)
    content = tiny_params() | YAML(typ="safe").load(block)
    study = Study.model_validate(content)
    assert study.baseline == "gated"
    assert study.trained["resnet"].model_dump()["arguments"] == {"num_classes": 10}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("network", "nets:convolutionl", r"no function convolutionl \(did you mean convolutional"),
        ("arguments", {"channel": 3}, r"unexpected keyword argument 'channel'"),
        ("network", "nets:digits", r"arguments {'channels': 4}: digits\(\) got an unexpected key"),
        ("optimizer", {"name": "adam"}, r"optimizer\.learning_rate: missing"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    content = params()
    content["variants"]["convolutional"][key] = value
    write_params(tmp_path, content)
    with own_modules(), pytest.raises(StudyError, match=message) as error:
        check_parameters()
    assert str(error.value).startswith("params.yaml: variants.convolutional.")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "models").exists()
