"""What people say of optimizers and vanishing gradients, as tests (docs/decisions/0021)."""

from typing import Any

import pandas as pd

from vanishing.judging.claims import Claim
from vanishing.judging.effects import (
    Tables,
    displacement_ratio,
    final_accuracies,
    final_accuracy,
    select_variant,
    steps_to_half_loss,
)
from vanishing.judging.formulas import Effect
from vanishing.judging.ledger import Opening
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import REFUTED, SUPPORTED

WRITTEN_DOWN = "docs/decisions/0021-claims-of-the-further-studies.md"
OPENING = Opening(
    question="Does another optimizer cure a vanished gradient?",
    lead="""\
In a deep network of sigmoids the gradient of the first layer is thousands of times smaller than
that of the last, so that plain gradient descent hardly moves the first layer. Adam and RMSprop
divide each weight's step by the size of its own past gradients: a tiny gradient makes a step as
large as any other. Does the network learn then? Or does a larger learning rate do, or momentum,
or clipping? The study trains the same network, five hidden layers of sigmoids, under each of
them, beside two networks whose gradient does not vanish.""",
    figure="learning-curves",
)

_DEEP = {
    "activation": "sigmoid",
    "depth": 5,
    "init": "default",
    "normalization": "none",
    "skip": False,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.01,
    "optimizer.momentum": 0.9,
    "clip_norm": "none",
}
_ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": 0.001, "optimizer.epsilon": 1e-8}
_OF_SGD = {key: value for key, value in _DEEP.items() if key != "optimizer.momentum"}
_RELU = {"activation": "relu", "init": "he_uniform"}
EXPECTED_SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": _DEEP,
    "sgd-plain": _DEEP | {"optimizer.momentum": 0.0},
    "sgd-large-rate": _DEEP | {"optimizer.learning_rate": 0.1},
    "sgd-huge-rate": _DEEP | {"optimizer.learning_rate": 1.0},
    "sgd-clipped": _DEEP | {"clip_norm": 1.0},
    "sgd-huge-rate-clipped": _DEEP | {"optimizer.learning_rate": 1.0, "clip_norm": 1.0},
    "adam": _OF_SGD | _ADAM,
    "adam-clipped": _OF_SGD | _ADAM | {"clip_norm": 1.0},
    "adam-large-epsilon": _OF_SGD | _ADAM | {"optimizer.epsilon": 0.001},
    "rmsprop": _OF_SGD | {"optimizer.name": "rmsprop", "optimizer.learning_rate": 0.001},
    "shallow": _DEEP | {"depth": 1},
    "shallow-adam": _OF_SGD | _ADAM | {"depth": 1},
    "relu-he": _DEEP | _RELU,
    "relu-he-adam": _OF_SGD | _ADAM | _RELU,
}


def final_attenuation(t: Tables, variant: str) -> pd.Series:
    """Return rms(dL/dz) of the first hidden layer over that of the last, last snapshot."""
    rows = t["layers"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    return rows[rows["epoch"] == rows["epoch"].max()].set_index("seed")["value"]


def best_accuracy(t: Tables, variants: list[str]) -> pd.Series:
    """Return the best test accuracy at the end of several variants."""
    runs = final_accuracies(t)
    return runs[runs.index.isin(variants, level="variant")].groupby("seed").max()


def accuracy_distance(t: Tables, variants: list[str]) -> pd.Series:
    """Return the absolute difference of the test accuracies of two variants at the end."""
    first, second = (final_accuracy(t, variant) for variant in variants)
    return (first - second).abs()


def steps_needed(t: Tables, variant: str) -> pd.Series:
    """Count the steps until the mean loss of 100 batches is at most half of ln 10."""
    return select_variant(steps_to_half_loss(t), variant)


ACCURACY = "test accuracy at the end"
DIFFERENCE = "difference of test accuracies at the end"
MOVED = (
    "distance of the first layer's weights from their start, relative to their size, over that of"
    " the last hidden layer's"
)
CLIPPING = "clipping scales a whole gradient down: it never makes the first layer's part larger"

CLAIMS = (
    Claim(
        id="sgd-fails",
        kind="effect",
        statement="SGD leaves a sigmoid network of five hidden layers at chance.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "sgd"),
        over="seeds",
        supported=Limit("<", 0.2),
        refuted=Limit(">", 0.5),
    ),
    Claim(
        id="rate-rescues",
        kind="remedy",
        statement="A larger learning rate is all that SGD needs.",
        quantity="test accuracy with the better of two larger learning rates, minus that of one"
        " hidden layer",
        effect=Effect(best_accuracy, ("sgd-large-rate", "sgd-huge-rate"))
        - Effect(final_accuracy, "shallow"),
        over="seeds",
        supported=Limit(">", -0.05),
        refuted=Limit("<", -0.2),
    ),
    Claim(
        id="momentum-helps",
        kind="remedy",
        statement="Momentum carries SGD over the plateau.",
        quantity=f"{DIFFERENCE}, with momentum minus without",
        effect=Effect(final_accuracy, "sgd") - Effect(final_accuracy, "sgd-plain"),
        over="seeds",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
    ),
    Claim(
        id="adam-trains",
        kind="remedy",
        statement="Adam trains the network that SGD leaves at chance.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "adam"),
        over="seeds",
        supported=Limit(">", 0.9),
        refuted=Limit("<", 0.5),
        because={
            SUPPORTED: "each weight moves by about the learning rate per step, however small its"
            " gradient (Kingma & Ba 2015)"
        },
    ),
    Claim(
        id="rmsprop-trains",
        kind="remedy",
        statement="RMSprop trains the network that SGD leaves at chance.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "rmsprop"),
        over="seeds",
        supported=Limit(">", 0.9),
        refuted=Limit("<", 0.5),
    ),
    Claim(
        id="adam-restores-the-gradient",
        kind="remedy",
        statement="A network that Adam has trained no longer has a vanishing gradient.",
        quantity="attenuation after training with Adam",
        effect=Effect(final_attenuation, "adam"),
        over="seeds",
        average="geometric",
        supported=Limit(">", 0.1),
        refuted=Limit("<", 0.01),
    ),
    Claim(
        id="adam-moves-all-layers",
        kind="remedy",
        statement="Adam moves the first layer as far as the last hidden one.",
        quantity=MOVED,
        effect=Effect(displacement_ratio, "adam"),
        over="seeds",
        average="geometric",
        supported=Limit(">", 0.5),
        refuted=Limit("<", 0.1),
    ),
    Claim(
        id="sgd-moves-last-layers",
        kind="effect",
        statement="SGD moves the last hidden layer and leaves the first where it was.",
        quantity=MOVED,
        effect=Effect(displacement_ratio, "sgd"),
        over="seeds",
        average="geometric",
        supported=Limit("<", 0.1),
        refuted=Limit(">", 0.5),
    ),
    Claim(
        id="epsilon-undoes-adam",
        kind="cause",
        statement="Adam loses its cure where ε is larger than the gradient.",
        quantity=f"{DIFFERENCE}, with ε = 1e-8 minus ε = 1e-3",
        effect=Effect(final_accuracy, "adam") - Effect(final_accuracy, "adam-large-epsilon"),
        over="seeds",
        supported=Limit(">", 0.1),
        refuted=Limit("<", 0.01),
    ),
    Claim(
        id="clipping-cures",
        kind="remedy",
        statement="Gradient clipping helps against vanishing gradients.",
        quantity=f"{DIFFERENCE}, clipped minus not, under SGD",
        effect=Effect(final_accuracy, "sgd-clipped") - Effect(final_accuracy, "sgd"),
        over="seeds",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
        because={REFUTED: CLIPPING},
    ),
    Claim(
        id="clipping-allows-a-huge-rate",
        kind="remedy",
        statement="Clipping lets SGD use a learning rate of 1.",
        quantity=f"{DIFFERENCE}, clipped minus not, at a learning rate of 1",
        effect=Effect(final_accuracy, "sgd-huge-rate-clipped")
        - Effect(final_accuracy, "sgd-huge-rate"),
        over="seeds",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
    ),
    Claim(
        id="adam-needs-no-clipping",
        kind="remedy",
        statement="Under Adam clipping makes no difference.",
        quantity="absolute difference of test accuracies at the end, clipped and not",
        effect=Effect(accuracy_distance, ("adam-clipped", "adam")),
        over="seeds",
        supported=Limit("<", 0.01),
        refuted=Limit(">", 0.03),
        because={SUPPORTED: "a step of Adam does not change if all gradients shrink alike"},
    ),
    Claim(
        id="adam-replaces-remedies",
        kind="remedy",
        statement="With Adam a sigmoid network is as good as ReLU with He's initialisation.",
        quantity=f"{DIFFERENCE}, both with Adam",
        effect=Effect(final_accuracy, "adam") - Effect(final_accuracy, "relu-he-adam"),
        over="seeds",
        supported=Limit(">", -0.01),
        refuted=Limit("<", -0.03),
    ),
    Claim(
        id="vanishing-slows-adam",
        kind="effect",
        statement="A vanishing gradient slows Adam too.",
        quantity="steps until the mean loss of 100 batches is half of ln 10 (all steps where it"
        " never is), five hidden layers over one, both with Adam",
        effect=Effect(steps_needed, "adam") / Effect(steps_needed, "shallow-adam"),
        over="seeds",
        average="geometric",
        supported=Limit(">", 2),
        refuted=Limit("<", 1.2),
    ),
)
