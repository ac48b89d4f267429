"""What people say of depth, and what theory says of it, as tests (docs/decisions/0021)."""

from typing import Any

import numpy as np
import pandas as pd

from vanishing.judging.claims import Claim
from vanishing.judging.effects import (
    Tables,
    attenuation,
    final_accuracies,
    final_accuracy,
    slope_error,
)
from vanishing.judging.formulas import Effect
from vanishing.judging.ledger import Opening
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import REFUTED, SUPPORTED

WRITTEN_DOWN = "docs/decisions/0021-claims-of-the-further-studies.md"
OPENING = Opening(
    question="How deep can a network be, and did theory say so?",
    lead="""\
Each layer passes a part of the gradient on to the layer below it. Theory computes that part
before any training, and from it a depth scale ξ: the number of layers over which the gradient
changes e-fold. Schoenholz et al. (2017) found that networks train up to about six such scales.
The study trains networks of 5 to 50 layers: plain ones with the usual weights, those of Xavier
and of He, and networks with skip connections, with layer normalization before each block (pre-LN)
or after it (post-LN). Where does training fail, and was that the depth?""",
)

_TANH = {"activation": "tanh", "init": "default", "normalization": "none", "skip": False}
_RELU = _TANH | {"activation": "relu"}
_NORM = {"network": "nets:residual"}
EXPECTED_SETTINGS: dict[str, dict[str, Any]] = {
    **{f"tanh-{depth}": _TANH | {"depth": depth} for depth in (5, 10, 20, 50)},
    **{f"relu-{depth}": _RELU | {"depth": depth} for depth in (5, 10, 20)},
    **{f"relu-he-{n}": _RELU | {"init": "he_uniform", "depth": n} for n in (20, 50)},
    **{f"tanh-xavier-{n}": _TANH | {"init": "xavier_uniform", "depth": n} for n in (20, 50)},
    "sigmoid-5": _TANH | {"activation": "sigmoid", "depth": 5},
    "tanh-skip-50": _TANH | {"skip": True, "depth": 50},
    "pre-ln-50": _NORM | {"arguments.depth": 50, "arguments.norm": "pre"},
    "post-ln-50": _NORM | {"arguments.depth": 50, "arguments.norm": "post"},
}
PLAIN = tuple(
    name for name in EXPECTED_SETTINGS if not name.endswith(("-ln-50", "-skip-50"))
)  # without a residual stream
LEARNED = 0.5  # test accuracy above which a network is said to have learned
REACH = np.exp(-3)  # of the gradient, at the depth of 6 depth scales ξ = -1 / ln χ


def learned(t: Tables, variants: list[str]) -> pd.DataFrame:
    """Tell which variants learned: a row per seed, a column per variant."""
    return final_accuracies(t).unstack("variant")[list(variants)] > LEARNED


def agreement(t: Tables, variants: list[str], expected: pd.Series) -> pd.Series:
    """Return the share of variants that learned where that is expected and failed elsewhere."""
    return (learned(t, variants) == expected[list(variants)]).mean(axis="columns")


def depth_scale_agreement(t: Tables, variants: list[str]) -> pd.Series:
    """Return how often the rule "no deeper than 6 depth scales" is right.

    ξ = -1 / ln χ, so that at 6 ξ layers theory's attenuation is √χ^(6 ξ) = exp(-3).
    """
    rows = t["theory"].query("quantity == 'attenuation'")
    depths = t["initialisation"].groupby("variant")["depth"].first()
    rows = rows[rows["depth"] == rows["variant"].map(depths)]
    return agreement(t, variants, rows.set_index("variant")["predicted"] >= REACH)


def threshold_agreement(t: Tables, variants: list[str]) -> pd.Series:
    """Return how often the rule "attenuation of at least 0.01 at initialisation" is right."""
    expected = {v: np.log(attenuation(t, v)).mean() >= np.log(0.01) for v in variants}
    return agreement(t, variants, pd.Series(expected))


def stream_attenuation(t: Tables, variant: str) -> pd.Series:
    """Return rms(dL/dh) of the first block's output over that of the last, initialisations."""
    rows = t["initialisation"].query(f"variant == '{variant}' and tensor == 'stream_gradient'")
    rows = rows[rows["layer"].str.startswith("blocks.")]
    order = rows[rows["statistic"] == "position"].groupby("layer")["value"].first()
    rms = rows[rows["statistic"] == "rms"]
    wide = rms.pivot_table(index="seed", columns="layer", values="value")
    return wide[order.idxmin()] / wide[order.idxmax()]


def stream_imbalance(t: Tables, variant: str) -> pd.Series:
    """Return |log10| of the attenuation along the residual stream."""
    return np.log10(stream_attenuation(t, variant)).abs()


ACCURACY = "test accuracy at the end"
SLOPE = "relative difference of the slope of ln attenuation against depth from theory's"
STREAM = "rms(dL/dh) of the first block's output over that of the last, at initialisation"


def fails(variant: str, statement: str, because: str = "", *, after_results: bool = False) -> Claim:
    """Return a claim that a network does not train."""
    return Claim(
        id=f"{variant}-fails",
        kind="effect",
        statement=statement,
        quantity=ACCURACY,
        effect=Effect(final_accuracy, variant),
        over="seeds",
        supported=Limit("<", 0.3),
        refuted=Limit(">", 0.8),
        because={REFUTED: because} if because else {},
        after_results=after_results,
    )


def trains(variant: str, statement: str, *, after_results: bool = False) -> Claim:
    """Return a claim that a network trains."""
    return Claim(
        id=f"{variant}-trains",
        kind="remedy",
        statement=statement,
        quantity=ACCURACY,
        effect=Effect(final_accuracy, variant),
        over="seeds",
        supported=Limit(">", 0.8),
        refuted=Limit("<", 0.3),
        after_results=after_results,
    )


def as_predicted(variant: str, statement: str) -> Claim:
    """Return a claim that the gradient falls with depth at theory's rate."""
    return Claim(
        id=f"{variant}-as-predicted",
        kind="cause",
        statement=statement,
        quantity=SLOPE,
        effect=Effect(slope_error, variant),
        over="initialisations",
        supported=Limit("<", 0.03),
        refuted=Limit(">", 0.1),
    )


CLAIMS = (
    as_predicted("tanh-5", "From 5 to 50 layers tanh's gradient falls as mean-field theory says."),
    as_predicted("relu-5", "So does ReLU's."),
    fails("tanh-10", "Plain tanh fails at 10 layers."),
    fails("tanh-20", "Plain tanh fails at 20 layers."),
    fails("tanh-50", "Plain tanh fails at 50 layers."),
    fails("relu-20", "Plain ReLU fails at 20 layers."),
    trains("relu-he-50", "He's initialisation lets 50 layers of ReLU train."),
    trains("tanh-xavier-50", "Xavier's initialisation lets 50 layers of tanh train."),
    trains("tanh-skip-50", "Skip connections let 50 layers of tanh train."),
    trains("pre-ln-50", "A pre-LN network of 50 blocks trains."),
    fails("post-ln-50", "A post-LN network of 50 blocks does not train without a warm-up."),
    Claim(
        id="pre-ln-level",
        kind="remedy",
        statement="Pre-LN keeps the gradient level along the residual stream.",
        quantity=f"distance of {STREAM} from 1, in powers of ten",
        effect=Effect(stream_imbalance, "pre-ln-50"),
        over="initialisations",
        supported=Limit("<", 0.5),
        refuted=Limit(">", 1),
    ),
    Claim(
        id="post-ln-vanishes",
        kind="cause",
        statement="Post-LN makes the gradient vanish along the stream.",
        quantity=STREAM,
        effect=Effect(stream_attenuation, "post-ln-50"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.01),
        refuted=Limit(">", 0.1),
        because={
            SUPPORTED: "each normalization divides the stream, and with it the gradient, by its"
            " standard deviation (Xiong et al. 2020)"
        },
    ),
    Claim(
        id="depth-scale-tells",
        kind="cause",
        statement="Plain networks train where they are no deeper than six depth scales.",
        quantity="share of the plain networks that learned (test accuracy above 0.5) exactly where"
        " theory's attenuation is at least exp(-3)",
        effect=Effect(depth_scale_agreement, PLAIN),
        over="seeds",
        supported=Limit(">", 0.9),
        refuted=Limit("<", 0.7),
    ),
    Claim(
        id="threshold-tells",
        kind="cause",
        statement="Plain networks train where a hundredth of the gradient arrives at the start.",
        quantity="share of the plain networks that learned (test accuracy above 0.5) exactly where"
        " the attenuation at initialisation is at least 0.01",
        effect=Effect(threshold_agreement, PLAIN),
        over="seeds",
        supported=Limit(">", 0.9),
        refuted=Limit("<", 0.7),
    ),
    # The other ends of the ranges in which a remedy stops working (docs/decisions/0029).
    trains("tanh-5", "Plain tanh trains at 5 layers.", after_results=True),
    trains("relu-5", "Plain ReLU trains at 5 layers.", after_results=True),
    fails("relu-10", "Plain ReLU fails at 10 layers.", after_results=True),
    trains("relu-he-20", "He's initialisation lets 20 layers of ReLU train.", after_results=True),
    trains("tanh-xavier-20", "Xavier's weights let 20 layers of tanh train.", after_results=True),
)
