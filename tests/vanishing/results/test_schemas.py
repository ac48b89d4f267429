"""The columns of the tables: a public contract, as docs/results.md has it."""

import re

from tests.support.study import ROOT
from vanishing import paths
from vanishing.results import schemas
from vanishing.results.factors import SNAPSHOT_FACTORS


def test_columns_are_the_documented_ones() -> None:
    layer = ["layer_index", "layer", "tensor"]
    moment = ["variant", "seed", "epoch", "step"]
    losses = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    losses += ["train_loss_end", "train_accuracy_end"]
    assert schemas.HISTORY.names == [*moment, *losses]
    assert schemas.TRACE.names == ["variant", "seed", "step", *layer, "statistic", "value"]
    assert schemas.LOSSES.names == [*moment, "loss"]
    units = ["layer_index", "layer", "unit", "fraction_active", "fraction_flat"]
    assert schemas.UNITS.names == [*moment, *units]
    assert schemas.LAYERS.names == [*moment, *layer, "statistic", "value"]
    assert schemas.INITIALISATIONS.names == [
        "variant",
        "depth",
        "seed",
        *layer,
        "statistic",
        "value",
    ]
    assert schemas.THEORY.names == [
        *("variant", "depth", "layer_index", "quantity"),
        *("predicted", "measured", "low", "high", "n"),
    ]
    assert schemas.HISTOGRAMS.names == [*moment, *layer, "scale", "bin_left", "bin_right", "count"]


def test_the_documentation_has_the_columns_of_every_table() -> None:
    text = (ROOT / "docs/results.md").read_text("utf-8")
    documented = {}
    for names, columns in re.findall(
        r"^\| (`[^|]+\.parquet`[^|]*) \| ([^|]+) \|$", text, re.MULTILINE
    ):
        for name in re.findall(r"(\w+)\.parquet", names):
            documented[name] = columns.strip().split(", ")
    every = {**schemas.SCHEMAS, "factors": SNAPSHOT_FACTORS}
    assert documented == {name: schema.names for name, schema in every.items()}
    for name in paths.TABLES_BY_SEED:
        assert paths.table(name, "V", 0).as_posix().replace("seed-0", "seed-S") in text
