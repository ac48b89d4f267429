"""The content of a page on watched trainings, from the folders that `vanishing.watch` wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vanishing.errors import name_first
from vanishing.explorer import content
from vanishing.explorer.page import Page
from vanishing.judging.factors import describe_each
from vanishing.judging.learning.verdict import Verdict, judge_learning
from vanishing.judging.runs import examine, load_run
from vanishing.params.answers import LEARNS, TOO_EARLY, WILL_NOT_LEARN
from vanishing.params.diagnose import Debugger
from vanishing.results.schemas import HISTOGRAMS, HISTORY, LAYERS
from vanishing.results.watched import read_run


def collect(folders: Sequence[Path], rules: Debugger) -> Page:
    """Read and judge watched trainings.

    A StudyError says that a folder holds no run, or that a file is damaged.

    Args:
        folders: Of the runs; a run has its folder's name, or its path where two share a name.
        rules: Thresholds.

    Returns:
        The page.
    """
    names = [folder.resolve().name for folder in folders]
    labels = [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]
    watched = {label: load_run(folder) for label, folder in zip(labels, folders, strict=True)}
    # A watched loop has neither snapshots nor epochs.
    empty = {
        "layers": LAYERS.empty_table().to_pandas(),
        "histograms": HISTOGRAMS.empty_table().to_pandas(),
        "history": HISTORY.empty_table().to_pandas(),
    }
    frames = {
        label: empty
        | {
            "trace": training.tables["trace"],
            "trace_histograms": read_run(folder, "trace_histograms"),
            "losses": training.tables["losses"],
        }
        for (label, training), folder in zip(watched.items(), folders, strict=True)
    }
    verdicts = {label: judge_learning(training) for label, training in watched.items()}
    runs = content.of_runs(frames)
    for run in runs:
        verdict = verdicts[run["name"]]
        training = watched[run["name"]]
        factors = training.tables["factors"]
        run |= {
            "verdict": verdict.answer,
            "why": [(s, content.plain(why)) for s, why in describe_each(factors, "step")],
            "reason": str(verdict),
            "rules": content.rules_of(examine(training, rules)),
        }
    return Page(
        {
            "title": "Gradients of watched trainings",
            "findings": _answers(verdicts),
            "runs": runs,
        }
    )


def _answers(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Say which runs have which verdict, those that will not learn first."""
    labels: dict[str, list[str]] = {answer: [] for answer in (WILL_NOT_LEARN, TOO_EARLY, LEARNS)}
    for label, verdict in verdicts.items():
        labels[verdict.answer].append(label)
    return [f"{answer}: {name_first(names)}" for answer, names in labels.items() if names]
