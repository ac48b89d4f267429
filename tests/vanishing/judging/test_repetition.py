"""What another study with more seeds says of a study's verdicts."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.study import tiny_params
from vanishing.errors import StudyError
from vanishing.files import write_json
from vanishing.judging.findings import uncertainties
from vanishing.judging.repetition import (
    CONFIRMED,
    DECIDED,
    OPEN,
    TURNED,
    UNCONFIRMED,
    Repetition,
    load_repetition,
)
from vanishing.params.diagnose import Params

OTHER = "studies/seeds/published/claims.json"


def row(name: str, verdict: str, over: str = "seeds", n: int = 1) -> dict[str, Any]:
    """Return a row of claims.json."""
    made = {"id": name, "claim": f"{name}.", "verdict": verdict, "over": over, "n": n}
    return made | ({"p_holm": 0.01} if over == "seeds" and n > 1 else {})


def study(path: str = OTHER) -> Params:
    """Return the tiny study, repeated by another one."""
    return Params.model_validate(tiny_params() | {"repeated_by": path})


@pytest.fixture
def repetition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repetition:
    """Give what five seeds say, read from a folder beside which lies a link to it."""
    monkeypatch.chdir(tmp_path)
    reports = tmp_path / "studies/seeds/reports"
    rows = [
        row("a", "supported", n=5),
        row("b", "inconclusive", n=5),
        row("c", "refuted", n=5),
        row("of-another-study", "refuted", n=5),
        row("at-init", "supported", "initialisations", n=20),
    ]
    write_json(reports / "claims.json", rows)
    (tmp_path / "studies/seeds/published").symlink_to("reports")
    loaded = load_repetition(study(), ["a", "b", "c", "at-init"])
    assert loaded is not None
    return loaded


def test_statements_over_seeds_that_both_studies_judge_are_read(repetition: Repetition) -> None:
    assert set(repetition.claims) == {"a", "b", "c"}
    assert repetition.seeds == 5
    assert repetition.report == "../studies/seeds/reports/README.md"


@pytest.mark.parametrize(
    ("name", "verdict", "answer"),
    [
        ("a", "supported", CONFIRMED),
        ("c", "refuted", CONFIRMED),
        ("a", "refuted", TURNED),
        ("c", "supported", TURNED),
        ("b", "supported", UNCONFIRMED),
        ("b", "refuted", UNCONFIRMED),
        ("a", "inconclusive", DECIDED),
        ("b", "inconclusive", OPEN),
        ("at-init", "supported", None),
    ],
)
def test_each_verdict_gets_an_answer(
    repetition: Repetition, name: str, verdict: str, answer: str | None
) -> None:
    assert repetition.answer(row(name, verdict)) == answer


def test_what_more_seeds_do_not_confirm_is_counted_and_named(repetition: Repetition) -> None:
    claims = [
        row("a", "refuted"),
        row("b", "supported"),
        row("c", "refuted"),
        row("at-init", "supported", "initialisations"),
    ]
    open_ones = [row("b", "inconclusive"), row("a", "inconclusive")]
    assert uncertainties(study(), open_ones, repetition)[0].endswith(
        "0 of these 2 are confirmed; 1 decided (“a”); 1 inconclusive too."
    )
    assert uncertainties(study(), claims, repetition)[0] == (
        "Each variant is trained once, so 3 of 4 verdicts have no interval."
        " [With 5 seeds](../studies/seeds/reports/README.md) 1 of these 3 are confirmed;"
        " 1 not confirmed (“b”); 1 turned (“a”)."
    )


def test_a_study_that_none_repeats_has_no_repetition() -> None:
    assert load_repetition(study("reports/claims.json"), ["a"]) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("{", "cannot be read (no list of claims)"),
        ('[{"p_holm": 1}]', "cannot be read (no list of claims)"),
        ("3", "cannot be read (no list of claims)"),
        ("[]", "judges no claim of this study over several seeds"),
        (
            '[{"id": "a", "over": "seeds", "n": 1}]',
            "judges no claim of this study over several seeds",
        ),
    ],
)
def test_claims_that_are_not_there_are_named_with_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / OTHER
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_text(content)
    with pytest.raises(StudyError) as raised:
        load_repetition(study(), ["a"])
    assert str(raised.value) == f"params.yaml: repeated_by: {OTHER}: {reason}"


@pytest.mark.parametrize(
    "path", ["", "/claims.json", "claims.txt", "a b/claims.json", "$(x)/claims.json"]
)
def test_only_a_relative_path_of_such_a_file_is_taken(path: str) -> None:
    with pytest.raises(ValueError, match="repeated_by"):
        study(path)
