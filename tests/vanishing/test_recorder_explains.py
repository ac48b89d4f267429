"""`watch.explain`: why the gradient vanishes, kept in the run, told by its report and its page."""

from pathlib import Path

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

import vanishing
from vanishing import cli
from vanishing.errors import StudyError
from vanishing.results.factors import FACTORS


def make_model() -> nn.Sequential:
    """Make a perceptron with three sigmoids, always the same."""
    torch.manual_seed(0)
    layers = [module for _ in range(3) for module in (nn.Linear(8, 8), nn.Sigmoid())]
    return nn.Sequential(*layers, nn.Linear(8, 3))


def make_batch() -> tuple[Tensor, Tensor]:
    """Make inputs and classes, always the same."""
    source = torch.Generator().manual_seed(1)
    return torch.randn(20, 8, generator=source), torch.arange(20) % 3


def train(folder: Path | None, explained: tuple[int, ...] = (), steps: int = 12) -> nn.Sequential:
    """Train, watched if there is a folder, and explain before some steps."""
    model, (inputs, classes) = make_model(), make_batch()
    optimizer = SGD(model.parameters(), 0.5)
    watch = folder and vanishing.watch(model, optimizer, folder=folder, every=5)
    for step in range(1, steps + 1):
        if watch and step in explained:
            watch.explain((inputs, classes), cross_entropy)
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), classes)
        loss.backward()  # type: ignore[no-untyped-call]
        if watch:
            watch.loss(loss)
        optimizer.step()
    if watch:
        watch.close()
    return model


def test_the_factors_are_those_of_the_model_at_that_step(tmp_path: Path) -> None:
    train(tmp_path, (1, 12))
    factors = vanishing.read_run(tmp_path, "factors")
    assert sorted(set(factors["step"])) == [1, 12]
    for step in (1, 12):
        model = train(None, steps=step - 1)
        expected = vanishing.explain(model, make_batch(), cross_entropy).table
        kept = factors.loc[factors["step"] == step, FACTORS.names].reset_index(drop=True)
        assert_frame_equal(kept, expected, check_dtype=False)


def test_training_and_its_trace_are_as_without(tmp_path: Path) -> None:
    models = [train(tmp_path / name, steps) for name, steps in (("a", ()), ("b", (1, 4, 11)))]
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)
    plain, explained = (vanishing.read_run(tmp_path / name, "trace") for name in ("a", "b"))
    assert_frame_equal(plain.drop(columns="variant"), explained.drop(columns="variant"))
    assert vanishing.read_run(tmp_path / "a", "factors").empty


def test_the_report_and_the_page_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    train(folder, (1, 12))
    sentence = vanishing.explain(make_model(), make_batch(), cross_entropy).sentence
    monkeypatch.setattr("sys.argv", ["vanishing", "report", str(folder)])
    assert cli.main() == 0
    report = (folder / "report/README.md").read_text()
    for text in (capsys.readouterr().out, report):
        assert f"Why, at step 1: {sentence}" in text
        assert "Why, at step 12: " in text
    assert "(factors.png)" in report
    assert (folder / "report/factors.png").stat().st_size
    (run,) = vanishing.explore(folder).content["runs"]
    assert run["why"][0] == (1, sentence.replace("`", ""))
    assert [step for step, _ in run["why"]] == [1, 12]


def test_a_run_that_nobody_explained_has_no_figure_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path)
    monkeypatch.setattr("sys.argv", ["vanishing", "report", str(tmp_path)])
    assert cli.main() == 0
    assert "Why" not in (tmp_path / "report/README.md").read_text()
    assert not (tmp_path / "report/factors.png").exists()


def test_of_several_models_one_has_to_be_explained_by_itself(tmp_path: Path) -> None:
    models = {"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)}
    optimizers = {name: SGD(model.parameters(), 0.1) for name, model in models.items()}
    with (
        vanishing.watch(models, optimizers, folder=tmp_path) as watch,
        pytest.raises(StudyError, match=r"watch\.explain: 2 models are watched; call vanishing"),
    ):
        watch.explain(make_batch(), cross_entropy)
