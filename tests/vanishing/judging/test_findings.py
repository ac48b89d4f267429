"""Findings: each sentence has the numbers it speaks of, and none is made of what is missing."""

from typing import Any

import pytest

from tests.support.study import ROOT
from vanishing.judging.findings import MOST, findings, uncertainties
from vanishing.params.diagnose import Judged
from vanishing.params.load import load

NAMES = ["sigmoid", "sigmoid-skip", "sigmoid-batchnorm", "swish"]


@pytest.fixture
def study() -> Judged:
    """Give the shipped parameters, with four variants."""
    shipped = load(Judged, ROOT / "params.yaml")
    return shipped.model_copy(update={"variants": {name: shipped.variants[name] for name in NAMES}})


@pytest.fixture
def metrics() -> dict[str, dict[str, Any]]:
    """Give numbers of these variants."""
    columns = ("attenuation_fresh", "hop_fresh", "hop_theory", "hop_deviation")
    rows = {
        "sigmoid": (0.0004, 0.14, 0.1398, 0.003),
        "sigmoid-skip": (1.25, 1.05, 1.04, 0.012),
        "sigmoid-batchnorm": (1.1, 1.02, None, None),
        "swish": (0.008, 0.3, 0.29, 0.002),
    }
    accuracies = {"sigmoid": 0.0974, "sigmoid-skip": 0.95, "sigmoid-batchnorm": 0.96, "swish": 0.97}
    verdicts = [
        "vanishing, will not learn",
        "steady, learns",
        "steady, learns",
        "vanishing, learns",
    ]
    return {
        name: dict(zip(columns, rows[name], strict=True))
        | {"test_accuracy": accuracies[name], "verdict": verdict}
        for name, verdict in zip(NAMES, verdicts, strict=True)
    }


def claim(kind: str, text: str, verdict: str, over: str = "initialisations") -> dict[str, Any]:
    """Return a row of claims.json, as far as findings read it."""
    return {"kind": kind, "claim": text, "verdict": verdict, "over": over}


CLAIMS = [
    claim("cause", "A.", "refuted"),
    claim("cause", "B.", "refuted", "seeds"),
    claim("remedy", "C.", "supported"),
    claim("remedy", "D.", "refuted"),
    claim("effect", "E.", "inconclusive", "seeds"),
]


def test_findings_are_sentences_with_their_numbers(
    study: Judged, metrics: dict[str, dict[str, Any]]
) -> None:
    assert findings(study, metrics, CLAIMS) == [
        "**The baseline.** In `sigmoid` the gradient of the first layer is 0.0004 times that of the"
        " last hidden layer, before any training. It ends at 9.7% test accuracy.",
        "**The cause.** Each layer passes 0.14 of the gradient on; mean-field theory says 0.14. In"
        " the 3 variants that theory covers, no layer is more than 1.2% off.",
        "**The remedies.** 2 of 3 single changes to `sigmoid` stop the vanishing. Nearest to 1 come"
        " `sigmoid-batchnorm` (1.1) and `sigmoid-skip` (1.25).",
        "**No fate.** `swish` (gradient 0.008, accuracy 97.0%) starts with a vanishing gradient"
        " too, and learns all the same.",
        "**The articles.** 3 of 5 statements are refuted, among them: “A”; “D”.",
    ]


def test_what_is_not_finite_or_did_not_happen_is_no_finding(
    study: Judged, metrics: dict[str, dict[str, Any]]
) -> None:
    metrics["sigmoid"] |= {"attenuation_fresh": None, "hop_fresh": None, "verdict": "not finite"}
    metrics["swish"] |= {"verdict": "vanishing, will not learn"}
    supported = [row for row in CLAIMS if row["verdict"] == "supported"]
    assert findings(study, metrics, supported) == [
        "**The best.** `swish` ends with 97.0% test accuracy."
    ]
    for values in metrics.values():
        values["test_accuracy"] = None
    assert findings(study, metrics, []) == []


def test_there_are_never_more_than_a_first_screen_holds(
    study: Judged, metrics: dict[str, dict[str, Any]]
) -> None:
    assert len(findings(study, metrics, CLAIMS)) == MOST


def test_the_uncertain_is_counted_and_named(study: Judged) -> None:
    text = " ".join(uncertainties(study, CLAIMS))
    assert "trained once, so 2 of 5 verdicts have no interval" in text
    assert "1 inconclusive: “E”." in text
    of_two = study.train.model_copy(update={"seeds": (0, 1)})
    text = " ".join(uncertainties(study.model_copy(update={"train": of_two}), []))
    assert text == "One data set, one width and one learning rate: others may differ."
