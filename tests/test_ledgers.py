"""The claims of the studies in studies/: limits as written down first, and formulas that run."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import SEEDS, frame, random_study
from vanishing.judging import effects
from vanishing.judging.claims import judge_all
from vanishing.judging.effects import Tables
from vanishing.judging.ledger import Ledger, load_ledger, shown_source
from vanishing.judging.mismatches import mismatch
from vanishing.params.comparisons import impure
from vanishing.params.diagnose import Params
from vanishing.params.load import load

STUDIES = sorted(path.parent for path in ROOT.glob("studies/*/params.yaml"))
LIMIT = r"(?:above|below) -?[\d.]+"


class StudyClaims(NamedTuple):
    """A study, its claims, and their module as text."""

    study: Params
    ledger: Ledger
    source: str


@pytest.fixture(scope="module", params=STUDIES, ids=lambda folder: folder.name)
def claims(request: pytest.FixtureRequest) -> Iterator[StudyClaims]:
    """Give the claims of each study, from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(request.param)
        patch.setattr(sys, "path", list(sys.path))
        patch.delitem(sys.modules, "claims", raising=False)
        study = load(Params)
        yield StudyClaims(study, load_ledger(study), Path(study.claims).read_text("utf-8"))
        sys.modules.pop("claims", None)


def written_limits(text: str) -> dict[str, tuple[str, str, str]]:
    """Return {claim: what its effect is over, and both limits} of a page's tables."""
    written: dict[str, tuple[str, str, str]] = {}
    for line in text.splitlines():
        if match := re.fullmatch(rf"\| (.+?) \| .+ \| (\w+) \| ({LIMIT}) \| ({LIMIT}) \|", line):
            ids, over, supported, refuted = match.groups()
            written |= dict.fromkeys(ids.split(", "), (over, supported, refuted))
    return written


def test_the_limits_are_those_that_were_written_down_beforehand(claims: StudyClaims) -> None:
    written = written_limits((ROOT / claims.ledger.written_down).read_text("utf-8"))
    coded = {
        claim.id: (claim.over, str(claim.supported), str(claim.refuted))
        for claim in claims.ledger.claims
    }
    assert coded.items() <= written.items()
    assert len(coded) >= 8


def test_every_claim_that_was_written_down_is_judged() -> None:
    texts = [
        (folder / "claims.py").read_text() for folder in STUDIES if (folder / "claims.py").exists()
    ]
    page = ROOT / "docs/decisions/0021-claims-of-the-further-studies.md"
    for claim in written_limits(page.read_text("utf-8")):
        named = re.sub(r"-(fails|trains|as-predicted)$", "", claim)
        assert any(f'"{claim}"' in text or f'("{named}"' in text for text in texts), claim


def test_the_study_has_the_variants_of_every_claim(claims: StudyClaims) -> None:
    for claim in claims.ledger.claims:
        assert mismatch(claim.effect, claims.ledger.expected, claims.study) is None, claim.id
    assert claims.ledger.expected.keys() <= claims.study.variants.keys()


def test_comparisons_are_of_one_thing_but_where_a_remedy_is_two(claims: StudyClaims) -> None:
    assert {sentence.partition(":")[0] for sentence in impure(claims.study)} <= {"relu-he"}


def test_no_effect_can_be_beyond_both_limits(claims: StudyClaims) -> None:
    for claim in claims.ledger.claims:
        above, below = claim.supported, claim.refuted
        if above.relation == "<":
            above, below = below, above
        assert (above.relation, below.relation) == (">", "<"), claim.id
        assert above.value > below.value, claim.id


def made_up(study: Params) -> Tables:
    """Return tables of a study's variants, with states over time and with a residual stream."""
    names = list(study.variants)
    tables = random_study(names)
    rng = np.random.default_rng(4)
    states = [
        (name, "rnn" if time == 1 else f"rnn#{time}", f"{kind}_gradient_l0", "rms")
        for name in names
        for time in range(1, 6)
        for kind in ("hidden", "cell")
    ]
    blocks = [
        (name, f"blocks.{block}", "stream_gradient", statistic)
        for name in names
        for block in range(3)
        for statistic in ("rms", "position")
    ]
    fresh = [
        (name, 3, seed, 0, *rest, float(rng.uniform(0.5, 2)))
        for name, *rest in states + blocks
        for seed in range(4)
    ]
    snapshots = [
        (name, seed, epoch, 150 * epoch, 0, *rest, float(rng.uniform(0.5, 2)))
        for name, *rest in states
        for seed in SEEDS
        for epoch in (0, 2)
    ]
    more = {
        "initialisation": frame("initialisation", fresh),
        "layers": frame("layers", snapshots),
    }
    return tables | {
        table: pd.concat([tables[table], rows], ignore_index=True) for table, rows in more.items()
    }


def test_a_reader_who_runs_what_the_report_shows_gets_the_effects(claims: StudyClaims) -> None:
    tables = made_up(claims.study)
    names: dict[str, Any] = {"t": tables}
    shown = shown_source(claims.source, claims.ledger)
    for text in (Path(effects.__file__).read_text("utf-8"), shown):
        exec(compile(text, "report", "exec"), names)  # noqa: S102 - as a reader would run it
    for claim in claims.ledger.claims:
        exec(compile(claim.formula, claim.id, "exec"), names)  # noqa: S102 - as above
        computed = claim.effect.values(tables)
        assert len(computed) == {"initialisations": 4, "seeds": 2}[claim.over] or (
            "slope" in claim.quantity or claim.id.startswith("falls-")  # over those of the sweep
        )
        assert computed.notna().all(), claim.id
        pd.testing.assert_series_equal(names["effect"], computed, check_exact=True)


def test_each_claim_gets_a_row(claims: StudyClaims) -> None:
    rows = judge_all(
        claims.ledger.claims, claims.ledger.expected, made_up(claims.study), claims.study
    )
    assert [row["id"] for row in rows] == [claim.id for claim in claims.ledger.claims]
    assert all(row["n"] > 1 and np.isfinite(row["effect"]) for row in rows)
    assert all(("p_holm" in row) == (row["over"] == "seeds") for row in rows)


HALVES = {"rnn": 0.5, "lstm": 0.25}


@pytest.mark.parametrize("claims", [ROOT / "studies/recurrent"], indirect=True)
def test_the_gradient_over_time_is_that_of_the_first_step_over_the_last(
    claims: StudyClaims,
) -> None:
    rows = [
        (name, 3, seed, 0, "rnn" if t == 1 else f"rnn#{t}", f"{kind}_gradient_l0", "rms", value)
        for name, factor in HALVES.items()
        for seed in SEEDS
        for t in range(1, 13)  # so that the tenth step comes after the second
        for kind in ("hidden", "cell")
        for value in [factor ** (12 - t)]
    ]
    tables = {"initialisation": frame("initialisation", rows)}
    by_id = {claim.id: claim.effect for claim in claims.ledger.claims}
    assert by_id["rnn-vanishes"].values(tables).tolist() == pytest.approx([0.5**11] * 2)
    assert by_id["falls-with-the-weights"].values(tables).tolist() == pytest.approx([0.5] * 2)
    assert by_id["falls-exponentially-in-time"].values(tables).tolist() == pytest.approx([1.0] * 2)
    assert by_id["lstm-keeps"].values(tables).tolist() == pytest.approx([0.25**11] * 2)


@pytest.mark.parametrize("claims", [ROOT / "studies/depth"], indirect=True)
def test_a_rule_is_right_where_it_says_which_networks_learn(claims: StudyClaims) -> None:
    effect = next(c.effect for c in claims.ledger.claims if c.id == "depth-scale-tells")
    plain = effect.variants
    assert len(plain) == 12
    depths = {name: int(name.rpartition("-")[2]) for name in plain}
    learned = {name: 0.9 if depth < 10 else 0.1 for name, depth in depths.items()}
    history = [(name, 0, 1, 9, *[0.0] * 3, learned[name], 0.0, 0.0) for name in plain]
    layers = [(name, depths[name], 0, 0, "a", "weight", "rms", 1.0) for name in plain]
    predicted = {name: 0.9 if depth < 20 else 0.01 for name, depth in depths.items()}
    theory = [
        (
            name,
            depth,
            0,
            "attenuation",
            predicted[name] if depth == depths[name] else 0.5,
            *[1.0] * 4,
        )
        for name in plain
        for depth in (depths[name], 3)
    ]
    tables = {
        "history": frame("history", history),
        "initialisation": frame("initialisation", layers),
        "theory": frame("theory", theory),
    }
    wrong = sum(depth == 10 for depth in depths.values())
    assert effect.values(tables).tolist() == pytest.approx([1 - wrong / 12])
