"""Other tools on the zoo: how they watch, what is kept of their answers, and how these are rated.

The tools are installed for `make bench` alone. Here our own watch stands in the place of one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from torch import Tensor

from benchmarks import rivals
from benchmarks.watchers.ours import Ours
from benchmarks.zoo import training
from benchmarks.zoo.__main__ import complete
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.rivals import alarms, answers
from benchmarks.zoo.rivals.alarms import Attachment, Rival, ask
from benchmarks.zoo.rivals.answers import Question
from vanishing.errors import StudyError
from vanishing.params.answers import WILL_NOT_LEARN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REFERENCE = next(case for case in CASES if case.name == "digits-mlp-relu-1-adam")
STEPS = 5


class Failing(Ours):
    """Ends the training at its third step."""

    def after_step(self, loss: Tensor) -> None:
        """Count, and fail."""
        if self.step == 3:
            raise RuntimeError("a view was\nmodified")
        super().after_step(loss)


def rival(watcher: type[Ours] = Ours) -> Rival:
    """Return ours, as a tool whose alarm is that it recorded a gradient, and one it never gives."""
    given: Mapping[str, Callable[[Any], bool]] = {
        "recorded": lambda watcher: bool(watcher.records()),
        "never": lambda _: False,
    }
    return Rival("torch", watcher, given)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Rival]:
    """Give an empty folder as the working directory, and one tool."""
    monkeypatch.chdir(tmp_path)
    content = {"ours": rival()}
    monkeypatch.setattr(alarms, "RIVALS", content)
    monkeypatch.setattr(answers, "RIVALS", content)
    return content


def test_a_tool_sees_every_step_of_an_unchanged_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    attachment = Attachment(Ours, folder)
    watched = training.train(REFERENCE, 0, STEPS, attachment)
    assert watched == training.train(REFERENCE, 0, STEPS)
    records = attachment.watcher.records()
    assert set(records) == set(range(1, STEPS + 1))
    assert "head.weight" in records[1]
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == [folder]


def test_a_tool_that_ends_the_training_gives_no_alarm_and_its_error() -> None:
    given, error = ask(rival(Failing), REFERENCE, 0, STEPS)
    assert given == {"recorded": False, "never": False}
    assert error == "RuntimeError: a view was modified"


def test_answers_are_kept_and_not_asked_again(tools: dict[str, Rival]) -> None:
    asked = answers.questions([REFERENCE])
    assert [question.missing for question in asked] == [True]
    complete(asked, 1, answers.make)
    rows = answers.read_all(asked)
    assert list(rows["detector"]) == ["ours: recorded", "ours: never"]
    assert list(rows["alarm"]) == [True, False]
    assert not rows["crashed"].any()
    tools["ours"] = rival(Failing)  # would answer otherwise
    complete(asked, 1, answers.make)
    assert list(answers.read_all(asked)["alarm"]) == [True, False]


@pytest.mark.usefixtures("tools")
def test_another_training_version_or_text_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question("ours", REFERENCE, STEPS)
    keys = {answers.key(question), answers.key(question._replace(steps=6))}
    keys.add(answers.key(question._replace(seed=1)))
    monkeypatch.setattr(answers, "_version", lambda _: "another version")
    keys.add(answers.key(question))
    monkeypatch.setattr(answers, "_code", lambda _: "another text")
    keys.add(answers.key(question))
    assert len(keys) == 5


def test_a_tool_that_is_not_installed_is_named(tools: dict[str, Rival]) -> None:
    tools["absent"] = rival()._replace(package="not-a-package-of-ours")
    with pytest.raises(StudyError, match="not-a-package-of-ours is not installed; `make bench`"):
        answers.check_tools()


def test_every_tool_is_rated_like_every_detector() -> None:
    truths = pd.DataFrame(
        {
            "half": "unseen",
            "truth": [WILL_NOT_LEARN, "learns", "learns"],
            "late": [False, False, True],
            "cause": ["depth", None, None],
        },
        index=["dead", "fine", "late"],
    )
    given = pd.DataFrame(
        {
            "name": ["fine", "dead", "late", "elsewhere"],
            "detector": "tool: any warning",
            "alarm": [False, True, True, True],
            "crashed": [True, False, False, True],
            "seconds": [1.0, 2.0, 3.0, 100.0],
        }
    )
    (row,) = rivals.rate_tools(given, truths)
    assert (row["half"], row["detector"]) == ("unseen", "tool: any warning")
    assert row["finds, of those that will not learn"].startswith("1.00 ")
    assert row["false alarms, of those that learn"].startswith("0.50 ")
    assert row["of late starters"].startswith("1.00 ")
    assert (row["crashes"], row["seconds a training"]) == (1, 2.0)
