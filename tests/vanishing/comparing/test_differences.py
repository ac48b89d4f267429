"""Variants, verdicts, claims and numbers that differ."""

import pytest

from tests.support.made_up_results import NUMBERS, Files
from tests.support.study import BASELINE
from vanishing.comparing.comparison import compare
from vanishing.comparing.differences import Difference, match_variants


def numbers(old: Files, new: Files) -> dict[tuple[str, str], Difference]:
    """Return {(variant, metric): difference}."""
    differences = compare(old.results(), new.results()).numbers
    return {(number.variant, number.metric): number for number in differences}


def test_equal_results_do_not_differ(old: Files, new: Files) -> None:
    comparison = compare(old.results(), new.results())
    assert not comparison.differs
    assert comparison.numbers == ()


def test_a_variant_is_recognised_by_its_settings(old: Files, new: Files) -> None:
    new.params["variants"]["rectified"] = new.params["variants"]["relu"] | {"compare_to": None}
    new.remove("relu")
    new.add("rectified")
    new.number("rectified", "test_loss", 0.5)
    variants = match_variants(old.results(), new.results())
    assert variants.renamed == {"rectified": "relu"}
    assert (variants.added, variants.removed) == ((), ())
    assert numbers(old, new).keys() == {("rectified", "test_loss")}


def test_of_two_equal_variants_none_is_recognised(old: Files, new: Files) -> None:
    for name in ("one", "other"):
        new.params["variants"][name] = new.params["variants"]["relu"]
        new.add(name)
    new.remove("relu")
    variants = match_variants(old.results(), new.results())
    assert variants.renamed == {}
    assert (variants.added, variants.removed) == (("one", "other"), ("relu",))


def test_a_variant_with_other_settings_is_another(old: Files, new: Files) -> None:
    new.params["variants"]["deep"] = BASELINE | {"activation": "relu", "depth": 4}
    new.remove("relu")
    new.add("deep")
    assert match_variants(old.results(), new.results()).renamed == {}


def test_only_metrics_with_a_direction_get_better_or_worse(old: Files, new: Files) -> None:
    new.number("relu", "test_accuracy", 0.99)
    new.number("relu", "test_loss", 0.1)
    new.number("relu", "train_loss", 0.9)
    new.number("relu", "attenuation_final", 9.0)
    judged = {metric: number.is_better for (_, metric), number in numbers(old, new).items()}
    assert judged == {
        "test_accuracy": True,
        "test_loss": True,
        "train_loss": False,
        "attenuation_final": None,
    }


def test_a_number_that_is_no_longer_finite_changed(old: Files, new: Files) -> None:
    new.number("sigmoid", "test_loss", None)
    (number,) = numbers(old, new).values()
    assert (number.reason, number.before, number.after) == ("change", 0.2, None)
    assert number.is_better is None
    old.number("sigmoid", "test_loss", None)
    assert numbers(old, new) == {}


def test_ends_of_intervals_and_words_are_no_numbers(old: Files, new: Files) -> None:
    new.metrics["relu"] |= {"attenuation_fresh_low": 0.01, "verdict": "vanishing, learns"}
    assert numbers(old, new) == {}


def test_a_mean_over_other_initialisations_moved_by_chance(old: Files, new: Files) -> None:
    new.metrics["relu"] |= {
        "attenuation_fresh": 0.01235,
        "attenuation_fresh_low": 0.01225,
        "attenuation_fresh_high": 0.01245,
    }
    assert numbers(old, new)["relu", "attenuation_fresh"].reason == "initialisations"
    new.metrics["relu"]["attenuation_fresh"] = 0.0125
    assert numbers(old, new)["relu", "attenuation_fresh"].reason == "change"


def seeded(*seeds: int) -> Files:
    """Return results of some seeds, whose test loss is 0.2, 0.3 and so on."""
    files = Files(seeds=seeds)
    for name in files.params["variants"]:
        files.number(name, "test_loss", *(0.2 + seed / 10 for seed in seeds))
    return files


def test_seeds_are_compared_one_by_one() -> None:
    old, new = seeded(0, 1, 2), seeded(0, 1, 2)
    new.number("sigmoid", "test_loss", 0.21, 0.311, 0.409)  # each a little higher
    new.number("sigmoid-batchnorm", "test_loss", 0.3, 0.1, 0.45)
    new.number("relu", "test_loss", 0.206, 0.307, 0.406)  # more than rounding does by chance
    differences = numbers(old, new)
    assert differences["sigmoid", "test_loss"].reason == "change"
    assert differences["sigmoid", "test_loss"].seeds == 3
    assert differences["sigmoid-batchnorm", "test_loss"].reason == "seeds"
    assert differences["relu", "test_loss"].reason == "change"


def test_of_other_seeds_the_common_ones_are_compared() -> None:
    assert numbers(seeded(0), seeded(0, 1, 2)) == {}
    assert numbers(seeded(0, 1), seeded(1, 2)) == {}
    new = seeded(1, 2)
    new.number("sigmoid", "test_loss", 0.5, 0.6)
    number = numbers(seeded(0, 1), new)["sigmoid", "test_loss"]
    assert (number.before, number.after) == pytest.approx((0.3, 0.5))
    assert number.seeds == 1


def test_without_a_common_seed_only_what_needs_no_training_is_compared() -> None:
    new = seeded(1)
    new.metrics["relu"]["hop_theory"] = 0.15
    assert numbers(seeded(0), new).keys() == {("relu", "hop_theory")}


def test_results_without_single_runs_are_compared_by_their_means(old: Files, new: Files) -> None:
    old.runs = []
    new.number("relu", "test_loss", 0.9)
    assert numbers(old, new)["relu", "test_loss"].seeds == 1


def test_verdicts_and_claims_differ_whatever_their_numbers_do(old: Files, new: Files) -> None:
    new.verdict("relu", "overfit", "problem")
    new.health.append({"variant": "relu", "rule": "dead_relu", "verdict": "fine"})
    new.claims[1]["verdict"] = "inconclusive"
    del new.claims[0]
    comparison = compare(old.results(), new.results())
    assert [(v.variant, v.rule, v.before, v.after) for v in comparison.verdicts] == [
        ("relu", "overfit", "fine", "problem"),
        ("relu", "dead_relu", "-", "fine"),
    ]
    assert [(claim.statement, claim.before, claim.after) for claim in comparison.claims] == [
        ("ReLU avoids it.", "refuted", "-"),
        ("Tanh shrinks.", "supported", "inconclusive"),
    ]


def test_metrics_that_one_side_lacks_are_named_and_not_compared(old: Files, new: Files) -> None:
    for name in new.metrics:
        new.metrics[name]["sharpness"] = 3.0
    comparison = compare(old.results(), new.results())
    assert comparison.metrics == ("sharpness",)
    assert comparison.numbers == ()
    assert set(NUMBERS) <= old.metrics["relu"].keys()
