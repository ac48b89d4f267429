"""The one figure of a comparison: which variants it shows, and that they are themselves."""

from pathlib import Path

import pandas as pd

from tests.support.made_up_results import Files
from tests.support.study import BASELINE
from vanishing.comparing import curves
from vanishing.comparing.comparison import compare
from vanishing.reporting import before_after


def losses(frame: pd.DataFrame, variant: str) -> list[float]:
    """Return a variant's losses by epoch."""
    return frame.loc[frame["variant"] == variant, "train_loss"].tolist()


def test_changed_and_new_variants_are_drawn_and_no_other(tmp_path: Path) -> None:
    old, new = Files(), Files()
    new.params["variants"]["rectified"] = new.params["variants"]["relu"]
    new.remove("relu")
    new.add("rectified")
    new.number("rectified", "train_loss", 0.9)
    new.losses["rectified"] = [2.3, 1.0, 0.9]
    new.params["variants"]["tanh"] = BASELINE | {"activation": "tanh"}
    new.add("tanh")
    new.number("sigmoid", "train_loss", 0.1500001)
    comparison = compare(old.results(), new.results())
    selection = curves.draw(comparison, tmp_path / "figure.png")
    assert selection is not None
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert (selection.names, selection.left_out) == (["rectified", "tanh"], 0)
    assert losses(selection.before.history, "rectified") == [2.3, 0.5, 0.15]  # as relu
    assert losses(selection.after.history, "rectified") == [2.3, 1.0, 0.9]
    assert losses(selection.before.history, "tanh") == []


def test_of_many_variants_those_that_changed_most_are_drawn() -> None:
    old, new = Files(), Files()
    for files in (old, new):
        for number in range(before_after.MOST + 2):
            files.params["variants"][f"v{number}"] = BASELINE | {"depth": number + 9}
            files.add(f"v{number}")
    for number in range(before_after.MOST + 2):
        new.number(f"v{number}", "test_loss", 0.3 + 0.1 * number)
    selection = curves.select(compare(old.results(), new.results()))
    assert selection.names == [f"v{number}" for number in range(2, before_after.MOST + 2)]
    assert selection.left_out == 2


def test_a_change_that_nobody_could_see_is_not_drawn() -> None:
    old, new = Files(), Files()
    new.number("sigmoid", "train_loss", 0.151)  # 0.7 % more
    comparison = compare(old.results(), new.results())
    assert len(comparison.changed) == 1
    assert curves.select(comparison).names == []
    new.verdict("sigmoid", "overfit", "problem")
    assert curves.select(compare(old.results(), new.results())).names == ["sigmoid"]


def test_without_a_change_or_without_data_nothing_is_drawn(tmp_path: Path) -> None:
    old, new = Files(), Files()
    path = tmp_path / "figure.png"
    assert curves.draw(compare(old.results(), new.results()), path) is None
    new.number("relu", "test_loss", 9.0)
    new.losses = {}
    assert curves.draw(compare(old.results(), new.results()), path) is None
    assert not path.exists()


def test_curves_of_an_older_version_are_left_out(tmp_path: Path) -> None:
    old, new = Files(), Files()
    new.number("relu", "test_loss", 9.0)
    results = old.results()
    texts = {path: text.replace("train_loss", "loss") for path, text in results.texts.items()}
    older = type(results)(results.name, texts)
    comparison = compare(older, new.results())
    selection = curves.draw(comparison, tmp_path / "figure.png")
    assert selection is not None
    assert selection.names == ["relu"]
    assert losses(selection.before.history, "relu") == []
    assert losses(selection.after.history, "relu") == [2.3, 0.5, 0.15]
