"""A whole study judged: each variant by its own rows, the claims by all."""

import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import random_study
from vanishing.activations import ACTIVATIONS
from vanishing.judging.article import CLAIMS, EXPECTED_SETTINGS, WRITTEN_DOWN
from vanishing.judging.effects import Tables
from vanishing.judging.health import Subject, examine
from vanishing.judging.ledger import Ledger
from vanishing.judging.metrics import compute_metrics, compute_run_metrics
from vanishing.judging.study import TABLES, Judgement, judge_study
from vanishing.judging.verdicts import summarise
from vanishing.params.diagnose import Params
from vanishing.params.load import load

NAMES = ["sigmoid", "sigmoid-skip", "relu"]
CLASSES = dict.fromkeys(NAMES, 10)
LEDGER = Ledger(CLAIMS, EXPECTED_SETTINGS, WRITTEN_DOWN)


@pytest.fixture(scope="module")
def settings() -> Params:
    """Give the shipped parameters, with three variants of depth 3."""
    shipped = load(Params, ROOT / "params.yaml")
    variants = {name: shipped.perceptrons[name].at_depth(3) for name in NAMES}
    return shipped.model_copy(update={"variants": variants})


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Give the tables of these variants, one after the other in another order."""
    return random_study(["relu", "sigmoid", "sigmoid-skip"])


@pytest.fixture(scope="module")
def judgement(settings: Params, tables: Tables) -> Judgement:
    """Give the study, judged."""
    return judge_study(settings, tables, CLASSES, LEDGER)


def test_every_variant_is_judged_by_its_own_rows_in_the_order_of_params(
    settings: Params, tables: Tables, judgement: Judgement
) -> None:
    assert list(judgement.metrics) == NAMES
    for name in NAMES:
        rows = {table: content[content["variant"] == name] for table, content in tables.items()}
        subject = Subject(name, ACTIVATIONS[settings.perceptrons[name].activation], 10, rows)
        checks = [row for row in judgement.checks if row["variant"] == name]
        assert checks[1:] == examine(subject, settings.diagnose)
        assert checks[0] == judgement.learning[name][0]
        expected = compute_metrics(rows) | {"verdict": summarise(checks)}
        assert judgement.metrics[name] == expected
    assert list(dict.fromkeys(row["variant"] for row in judgement.checks)) == NAMES


def test_each_training_run_has_its_own_numbers(settings: Params, tables: Tables) -> None:
    train = settings.train.model_copy(update={"seeds": (0, 1)})
    both = settings.model_copy(update={"train": train})
    runs = judge_study(both, tables, CLASSES, LEDGER).runs
    assert {name: list(by_seed) for name, by_seed in runs.items()} == {
        name: [0, 1] for name in NAMES
    }
    of_relu = {table: rows[rows["variant"] == "relu"] for table, rows in tables.items()}
    first = {
        t: of_relu[t][of_relu[t]["seed"] == 1] for t in ("history", "layers", "histograms", "trace")
    }
    assert runs["relu"][1] == compute_run_metrics(first)
    last = first["history"][first["history"]["epoch"] == 2]
    assert runs["relu"][1]["test_accuracy"] == last["test_accuracy"].item()
    assert runs["relu"][0]["test_accuracy"] != runs["relu"][1]["test_accuracy"]


def test_every_claim_is_judged_by_all_variants(judgement: Judgement) -> None:
    assert [row["id"] for row in judgement.claims] == [claim.id for claim in CLAIMS]
    by_id = {row["id"]: row for row in judgement.claims}
    assert by_id["vanishing-slows"]["effect"] > 0
    assert by_id["skip-eases"]["n"] == 4  # fresh initialisations
    assert by_id["tanh-shrinks"]["evidence"] == "params.yaml has no variant tanh"


def test_all_tables_that_it_names_are_needed(settings: Params, tables: Tables) -> None:
    assert set(TABLES) == set(tables)
    with pytest.raises(KeyError, match="units"):
        judge_study(
            settings, {name: tables[name] for name in TABLES if name != "units"}, CLASSES, LEDGER
        )


def test_a_variant_without_rows_in_a_table_is_undefined_there(
    settings: Params, tables: Tables
) -> None:
    units = tables["units"]
    lacking = tables | {"units": units[units["variant"] != "sigmoid"]}
    checks = judge_study(settings, lacking, CLASSES, LEDGER).checks
    (saturated,) = [
        row
        for row in checks
        if (row["variant"], row["rule"]) == ("sigmoid", "saturated_activation")
    ]
    assert saturated["verdict"] == "undefined"
