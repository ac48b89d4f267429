"""How often verdicts on learning are wrong, on the held-out cases of the zoo (0023, 0024).

In: data/zoo, where what is missing is trained first: two seeds of each case, 1,252 small trainings
(an hour on two cores). Truths are those of five seeds, of benchmarks/zoo/truth.csv.
Beside ours stand each health rule alone, groups of them, and the best threshold on the learning
curve and on single measurements, which the development half chooses.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve
from tqdm import tqdm

from benchmarks.measuring import Figures, Result, Row
from benchmarks.zoo import claims, outcomes
from benchmarks.zoo.__main__ import complete
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.detectors import (
    AT_START,
    FAILING,
    MOMENTS,
    OF_DEBUGGER,
    RULE,
    examine_all,
)
from benchmarks.zoo.outcomes import Run
from benchmarks.zoo.rates import Rate, danger, decided, flips, rate
from benchmarks.zoo.split import TESTED
from benchmarks.zoo.table import read_truths
from vanishing.params.answers import LEARNS, WILL_NOT_LEARN
from vanishing.params.diagnose import Diagnose
from vanishing.paths import REPORTS
from vanishing.reporting.figures import save
from vanishing.reporting.style import line_styles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIGURE = REPORTS / "verdicts.png"
JOBS = 2
SEEDS = (0, 1)  # of which a rate is the mean; its interval is of cases
UNKNOWABLE = ("labels", "normalization")  # causes that a training does not show
RIGHT = {"vanishing": {"depth", "activation"}, "exploding": {"depth", "initialisation"}}
CURVE = ("rise of the accuracy", "fall of the loss")
SINGLE = (
    *CURVE,
    "dependence",
    "growth of the dependence",
    "update ratio",
    "dependence at initialisation",
    "attenuation at initialisation",
    "mean |dL/dW| at initialisation",
)
_NAMES = {"early": "ours, after a tenth of the steps", "end": "ours, at the end"}


class Score(NamedTuple):
    """The rates of one detector on one part of the zoo.

    Attributes:
        recall: Of trainings that will not learn.
        false_alarms: Of trainings that learn.
        late: Of those of them that start late.
        knowable: Recall without the causes of UNKNOWABLE.
    """

    recall: Rate
    false_alarms: Rate
    late: Rate
    knowable: Rate


def measure() -> Figures:
    """Train what is missing, examine all, and score."""
    frame = examine_zoo()
    draw(frame)
    alarms = all_alarms(frame)
    table = [
        row(part, name, score(frame[frame["half"] == part], alarm))
        for part in TESTED
        for name, alarm in alarms.items()
    ]
    tested = frame[frame["half"].isin(TESTED)]
    causes = [_causes(tested, moment) for moment in MOMENTS]
    return Figures(
        _results(tested, alarms),
        {
            "verdicts": table,
            "causes": causes,
            "claims": claims.judge(tested),
            "misjudged": misjudged(tested),
        },
    )


def examine_zoo() -> pd.DataFrame:
    """Return a row per training: what `detectors` says, and half, truth, late, cause and layer."""
    runs = [Run(case, seed, traced=True) for case in CASES for seed in SEEDS]
    complete(runs, JOBS, outcomes.make)
    rows = list(tqdm(examine_all(runs, JOBS), total=len(runs), desc="verdicts", disable=None))
    frame = pd.DataFrame(rows)
    return frame.join(read_truths()[["half", "truth", "late", "cause", "layer"]], on="name")


def all_alarms(frame: pd.DataFrame) -> dict[str, "pd.Series[bool]"]:
    """Return {detector: whether it says of each training that it will not learn}."""
    rules = [RULE + name for name in Diagnose.model_fields]
    applying = [rule for rule in rules if frame[rule].any()]
    alarms = {_NAMES[moment]: frame[f"{moment}_answer"] == WILL_NOT_LEARN for moment in MOMENTS}
    alarms[AT_START] = frame[AT_START]
    for name in SINGLE:
        threshold = best_threshold(frame[frame["half"] == "development"], name)
        # NaN, as of a loss that is not finite, is an alarm.
        alarms[f"{name} below {threshold:.2g}"] = ~(frame[name] >= threshold)
    alarms["any health rule"] = frame[applying].any(axis=1)
    alarms |= {name: frame[name] for name in (FAILING, OF_DEBUGGER)}
    return alarms | {rule: frame[rule] for rule in applying}


def best_threshold(frame: pd.DataFrame, name: str) -> float:
    """Return the threshold of a measurement with the largest recall + 1 - false alarms.

    Args:
        frame: Trainings of the development half.
        name: Column of the measurement; below the threshold is an alarm.

    Returns:
        One of the measured values.
    """
    judged = decided(frame)
    fails = judged["truth"] == WILL_NOT_LEARN
    values = judged[name]

    def gain(threshold: float) -> float:
        alarm = ~(values >= threshold)
        return float(alarm[fails].mean() - alarm[~fails].mean())

    return float(max(sorted(set(values.dropna())), key=gain))


def score(frame: pd.DataFrame, alarm: "pd.Series[bool]") -> Score:
    """Rate a detector on some trainings."""
    alarms = frame.assign(alarm=alarm.reindex(frame.index))
    fails, learns = (alarms[alarms["truth"] == kind] for kind in (WILL_NOT_LEARN, LEARNS))
    return Score(
        rate(fails),
        rate(learns),
        rate(learns[learns["late"]]),
        rate(fails[~fails["cause"].isin(UNKNOWABLE)]),
    )


def row(part: str, detector: str, rates: Score) -> Row:
    """Return a row of the table of detectors."""
    return {
        "half": part,
        "detector": detector,
        "finds, of those that will not learn": str(rates.recall),
        "false alarms, of those that learn": str(rates.false_alarms),
        "of late starters": str(rates.late),
        f"finds, without {' and '.join(UNKNOWABLE)}": str(rates.knowable),
    }


def _causes(frame: pd.DataFrame, moment: str) -> Row:
    """Count right causes and layers among the trainings that will not learn and were found."""
    is_found = (frame["truth"] == WILL_NOT_LEARN) & (frame[f"{moment}_answer"] == WILL_NOT_LEARN)
    rows = frame[is_found]
    named = list(zip(rows[f"{moment}_cause"], rows["cause"], strict=True))
    cause = [cause == true or true in RIGHT.get(cause, ()) for cause, true in named]
    with_layer = rows[rows["layer"].notna()]
    layer = [
        isinstance(named, str) and f"{named}.".startswith(f"{true}.")
        for named, true in zip(with_layer[f"{moment}_layer"], with_layer["layer"], strict=True)
    ]
    return {
        "detector": _NAMES[moment],
        "right cause": str(rate(rows.assign(alarm=cause))),
        "right layer, where the fault is in one": str(rate(with_layer.assign(alarm=layer))),
        "verdicts that flip between seeds": _flips(frame, moment),
    }


def misjudged(frame: pd.DataFrame) -> list[Row]:
    """Return the cases of which some seed is missed or is a false alarm, by name.

    Args:
        frame: As `examine_zoo` returns it.

    Returns:
        A row per case, with how many of its seeds are misjudged early and at the end.
    """
    judged = decided(frame)
    fails = judged["truth"] == WILL_NOT_LEARN
    wrong = pd.DataFrame(
        {moment: (judged[f"{moment}_answer"] == WILL_NOT_LEARN) != fails for moment in MOMENTS}
    )
    keys = ["half", "truth", "name"]
    counts = wrong.groupby([judged[key] for key in keys], sort=False).agg(["sum", "size"])
    return [
        dict(zip(keys, case, strict=True))
        | {
            _NAMES[moment]: f"{counts.loc[case, (moment, 'sum')]} of"
            f" {counts.loc[case, (moment, 'size')]}"
            for moment in MOMENTS
        }
        for case in counts.index
        if any(counts.loc[case, (moment, "sum")] for moment in MOMENTS)
    ]


def _flips(frame: pd.DataFrame, moment: str) -> float:
    is_alarm = frame[f"{moment}_answer"] == WILL_NOT_LEARN
    return flips(frame.assign(answer=is_alarm))


def _results(tested: pd.DataFrame, alarms: dict[str, "pd.Series[bool]"]) -> list[Result]:
    """Hold our rates on both tested halves together against their limits."""
    early, end = (score(tested, alarms[_NAMES[moment]]) for moment in ("early", "end"))
    curve = max(
        (score(tested, alarm) for name, alarm in alarms.items() if name.startswith(CURVE)),
        key=lambda rates: rates.recall.value - rates.false_alarms.value,
    )
    return [
        _result(
            "finds at the end, of trainings that will not learn", end.recall, ">= 0.85", ">= 0.95"
        ),
        _result(
            "false alarms at the end, of trainings that learn",
            end.false_alarms,
            "<= 0.03",
            "<= 0.02",
        ),
        _result("finds after a tenth of the steps", early.recall, ">= 0.9", ">= 0.95"),
        _result(
            "false alarms after a tenth of the steps", early.false_alarms, "<= 0.05", "<= 0.02"
        ),
        _result(
            "false alarms among late starters, after a tenth of the steps",
            early.late,
            f"<= {curve.late.value / 2:.2f}",
            "",
        ),
    ]


def _result(what: str, measured: Rate, must: str, aim: str) -> Result:
    return Result(f"verdicts: {what}", measured.value, must, aim, "", str(measured))


def draw(frame: pd.DataFrame, path: Path = FIGURE) -> None:
    """Draw the ROC curves of single measurements on the tested halves, and our verdict's point."""
    judged = decided(frame[frame["half"].isin(TESTED)])
    fails = (judged["truth"] == WILL_NOT_LEARN).to_numpy()
    save(lambda: _figure(judged, fails), path)


def _figure(judged: pd.DataFrame, fails: "NDArray[np.bool_]") -> Figure:
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.subplots()
    styles = line_styles(list(SINGLE))
    for name in SINGLE:
        ranks = danger(judged[name])
        false_alarms, recall, _ = roc_curve(fails, ranks)
        label = f"{name} ({roc_auc_score(fails, ranks):.2f})"
        style = styles[name]._replace(marker="")  # a curve has a point per training
        axes.plot(false_alarms, recall, label=label, **style._asdict())
    for moment, marker in (("early", "o"), ("end", "s")):
        alarm = (judged[f"{moment}_answer"] == WILL_NOT_LEARN).to_numpy()
        axes.plot(
            alarm[~fails].mean(), alarm[fails].mean(), marker, color="black", label=_NAMES[moment]
        )
    axes.set_xlabel("false alarms, share of trainings that learn")
    axes.set_ylabel("found, share of trainings that will not learn")
    axes.legend(title="measurement (area under its curve)", fontsize="small", loc="lower right")
    return figure
