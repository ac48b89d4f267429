"""What the article says, a claim per statement: the table behind reports/claims.json."""

from typing import Any

from vanishing.judging.claims import Claim
from vanishing.judging.effects import (
    attenuation,
    depth_factor,
    depth_r_squared,
    displacement_ratio,
    drift,
    final_accuracies,
    final_accuracy,
    generalization_gaps,
    hop,
    imbalance,
    median_of_steady,
    median_of_vanishing,
    saturation,
    saturation_in_training,
    scale_exponent,
    slope_error,
    small_share,
    small_shares,
    steps_to_half_loss,
)
from vanishing.judging.formulas import Effect
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import REFUTED, SUPPORTED

SATURATED = "largest share in a hidden layer of z where φ' is below 1 % of its maximum"
HOP = "factor by which rms(dL/dz) changes per hop towards the input, at initialisation"
ACCURACY = "difference of test accuracies at the end"
IMBALANCE = "distance of the attenuation at initialisation from 1, in powers of ten"
NEAR_ZERO = (
    "PyTorch's weights keep z near 0, where φ' is largest: at initialisation the gradient shrinks"
    " because φ' and σw² are small at their best, not because units saturate"
)

WRITTEN_DOWN = "docs/decisions/0005-the-rules-of-the-claims.md"

# The settings that a variant's name promises. Depth and width are free.
_SIGMOID = {
    "activation": "sigmoid",
    "init": "default",
    "normalization": "none",
    "skip": False,
}
EXPECTED_SETTINGS: dict[str, dict[str, Any]] = {
    "sigmoid": _SIGMOID,
    "sigmoid-xavier": _SIGMOID | {"init": "xavier_uniform"},
    "sigmoid-batchnorm": _SIGMOID | {"normalization": "batch"},
    "sigmoid-skip": _SIGMOID | {"skip": True},
    "sigmoid-large-init": _SIGMOID | {"init": "normal", "std": 1.0},
    "tanh": _SIGMOID | {"activation": "tanh"},
    "tanh-xavier": _SIGMOID | {"activation": "tanh", "init": "xavier_uniform"},
    "relu": _SIGMOID | {"activation": "relu"},
    "relu-he": _SIGMOID | {"activation": "relu", "init": "he_uniform"},
    "swish": _SIGMOID | {"activation": "swish"},
}

CLAIMS = (
    Claim(
        id="sigmoid-saturates",
        kind="cause",
        statement="Sigmoid units saturate.",
        quantity=f"{SATURATED}, at initialisation",
        effect=Effect(saturation, "sigmoid"),
        over="initialisations",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
        because={REFUTED: NEAR_ZERO},
    ),
    Claim(
        id="sigmoid-saturates-in-training",
        kind="cause",
        statement="Sigmoid units saturate while the network trains.",
        quantity=f"{SATURATED}, after training",
        effect=Effect(saturation_in_training, "sigmoid"),
        over="seeds",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
        because={REFUTED: "as long as the weights stay near their start, so does z near 0"},
    ),
    Claim(
        id="tanh-saturates",
        kind="cause",
        statement="Tanh units saturate.",
        quantity=f"{SATURATED}, at initialisation",
        effect=Effect(saturation, "tanh"),
        over="initialisations",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
        because={REFUTED: NEAR_ZERO},
    ),
    Claim(
        id="tanh-saturates-in-training",
        kind="cause",
        statement="Tanh units saturate while the network trains.",
        quantity=f"{SATURATED}, after training",
        effect=Effect(saturation_in_training, "tanh"),
        over="seeds",
        supported=Limit(">", 0.05),
        refuted=Limit("<", 0.01),
    ),
    Claim(
        id="sigmoid-shrinks",
        kind="cause",
        statement="Sigmoid shrinks the gradient from layer to layer.",
        quantity=HOP,
        effect=Effect(hop, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.9),
        refuted=Limit(">", 1),
        because={SUPPORTED: "φ' ≤ 1/4, so that √χ ≤ √(σw²)/4: 0.14 with PyTorch's σw² = 1/3"},
    ),
    Claim(
        id="tanh-shrinks",
        kind="cause",
        statement="Tanh shrinks the gradient from layer to layer.",
        quantity=HOP,
        effect=Effect(hop, "tanh"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.9),
        refuted=Limit(">", 1),
        because={SUPPORTED: "φ' ≤ 1, so that √χ ≤ √(σw²): 0.58 with PyTorch's σw² = 1/3"},
    ),
    Claim(
        id="relu-shrinks-less",
        kind="remedy",
        statement="ReLU shrinks the gradient less than sigmoid does.",
        quantity="ReLU's factor per hop at initialisation over sigmoid's",
        effect=Effect(hop, "relu") / Effect(hop, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 1.1),
        refuted=Limit("<", 1),
    ),
    Claim(
        id="relu-avoids",
        kind="remedy",
        statement="ReLU avoids the vanishing gradient.",
        quantity=HOP,
        effect=Effect(hop, "relu"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 0.95),
        refuted=Limit("<", 0.9),
        because={
            REFUTED: "χ = σw²/2, and PyTorch's weights have σw² = 1/3: a factor of √(1/6) = 0.41"
            " per hop. ReLU does away with the shrinking by φ', not with that by the weights"
        },
    ),
    Claim(
        id="relu-he-avoids",
        kind="remedy",
        statement="ReLU with He's initialisation avoids the vanishing gradient.",
        quantity=HOP,
        effect=Effect(hop, "relu-he"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 0.95),
        refuted=Limit("<", 0.9),
        because={SUPPORTED: "He's σw² = 2 makes χ = σw²/2 = 1 (He et al. 2015)"},
    ),
    Claim(
        id="swish-shrinks-less",
        kind="remedy",
        statement="Swish shrinks the gradient less than sigmoid does.",
        quantity="Swish's factor per hop at initialisation over sigmoid's",
        effect=Effect(hop, "swish") / Effect(hop, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 1.1),
        refuted=Limit("<", 1),
    ),
    Claim(
        id="swish-shrinks-less-than-relu",
        kind="remedy",
        statement="Swish shrinks the gradient less than ReLU does.",
        quantity="Swish's factor per hop at initialisation over ReLU's",
        effect=Effect(hop, "swish") / Effect(hop, "relu"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 1.1),
        refuted=Limit("<", 1),
        because={
            REFUTED: "near z = 0, where PyTorch's weights keep it, Swish is z/2 with φ'² = 1/4,"
            " while ReLU has φ'² = 1 for half of the units, 1/2 on average"
        },
    ),
    Claim(
        id="swish-beats-sigmoid",
        kind="remedy",
        statement="Swish ends with a better network than sigmoid.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "swish") - Effect(final_accuracy, "sigmoid"),
        over="seeds",
        supported=Limit(">", 0.01),
        refuted=Limit("<", -0.01),
    ),
    Claim(
        id="swish-beats-relu",
        kind="remedy",
        statement="Swish ends with a better network than ReLU.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "swish") - Effect(final_accuracy, "relu"),
        over="seeds",
        supported=Limit(">", 0.01),
        refuted=Limit("<", -0.01),
    ),
    Claim(
        id="falls-with-depth",
        kind="cause",
        statement="The gradient in the first layer falls as the network gets deeper.",
        quantity="factor by which the attenuation changes per hidden layer, from a line through"
        " its logarithm",
        effect=Effect(depth_factor, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.9),
        refuted=Limit(">", 1),
    ),
    Claim(
        id="falls-exponentially",
        kind="cause",
        statement="The gradient falls exponentially with depth.",
        quantity="R² of a line through the logarithm of the attenuation against depth",
        effect=Effect(depth_r_squared, "sigmoid"),
        over="initialisations",
        supported=Limit(">", 0.99),
        refuted=Limit("<", 0.9),
        because={
            SUPPORTED: "q settles at a fixed point within a few layers, and with it χ: each further"
            " layer multiplies by the same √χ (Schoenholz et al. 2017)"
        },
    ),
    Claim(
        id="falls-as-predicted",
        kind="cause",
        statement="The gradient falls with depth at the rate that mean-field theory predicts.",
        quantity="relative difference of the slope of ln attenuation against depth from theory's",
        effect=Effect(slope_error, "sigmoid"),
        over="initialisations",
        supported=Limit("<", 0.03),
        refuted=Limit(">", 0.1),
    ),
    Claim(
        id="skip-eases",
        kind="remedy",
        statement="Skip connections ease the vanishing of the gradient.",
        quantity="attenuation at initialisation with skip connections over that without",
        effect=Effect(attenuation, "sigmoid-skip") / Effect(attenuation, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 1.5),
        refuted=Limit("<", 1),
        because={
            SUPPORTED: "the gradient of h grows by 1 + χ per layer instead of shrinking by χ"
            " (Yang & Schoenholz 2017)"
        },
    ),
    Claim(
        id="batchnorm-stabilises-gradients",
        kind="remedy",
        statement="Batch normalization keeps the gradient stable from layer to layer.",
        quantity=IMBALANCE,
        effect=Effect(imbalance, "sigmoid-batchnorm"),
        over="initialisations",
        supported=Limit("<", 0.5),
        refuted=Limit(">", 1),
    ),
    Claim(
        id="batchnorm-stabilises-activations",
        kind="remedy",
        statement="Batch normalization keeps the distributions of activations stable during"
        " training.",
        quantity="drift of ln std(z) between snapshots with batch normalization over that without",
        effect=Effect(drift, "sigmoid-batchnorm") / Effect(drift, "sigmoid"),
        over="seeds",
        supported=Limit("<", 0.5),
        refuted=Limit(">", 1),
        because={
            SUPPORTED: "by construction: z is the output of the normalization, whose scale, a"
            " parameter, moves slowly",
            REFUTED: "a network that does not learn keeps its distributions, and one that learns"
            " changes them: steady distributions are not what batch normalization helps with here",
        },
    ),
    Claim(
        id="large-weights-shrink",
        kind="cause",
        statement="Large initial weights make the gradients very small.",
        quantity="attenuation at initialisation with N(0, 1) weights over that with PyTorch's",
        effect=Effect(attenuation, "sigmoid-large-init") / Effect(attenuation, "sigmoid"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.1),
        refuted=Limit(">", 1),
        because={
            REFUTED: "χ = σw²·E[φ'(z)²]: saturation lowers E[φ'²] only as 1/σw, since φ' stays"
            " large for the few z near 0, while σw² grows; so χ grows as σw, and with σw² = 1000"
            " it is above 1"
        },
    ),
    Claim(
        id="xavier-suits-tanh",
        kind="remedy",
        statement="Xavier's initialisation gives tanh gradients of a suitable size.",
        quantity=IMBALANCE,
        effect=Effect(imbalance, "tanh-xavier"),
        over="initialisations",
        supported=Limit("<", 0.5),
        refuted=Limit(">", 1),
        because={SUPPORTED: "σw² = 1 and φ'(0) = 1 give χ = 1 as long as z stays near 0"},
    ),
    Claim(
        id="xavier-suits-sigmoid",
        kind="remedy",
        statement="Xavier's initialisation gives sigmoid gradients of a suitable size.",
        quantity=IMBALANCE,
        effect=Effect(imbalance, "sigmoid-xavier"),
        over="initialisations",
        supported=Limit("<", 0.5),
        refuted=Limit(">", 1),
        because={
            REFUTED: "Xavier's σw² = 1 assumes φ'(0) = 1, as tanh has it; sigmoid's φ'(0) = 1/4"
            " leaves √χ below 1/4"
        },
    ),
    Claim(
        id="xavier-scale-grows",
        kind="remedy",
        statement="Xavier's initialisation scales weights with the root of the number of"
        " connections.",
        quantity="exponent of the weights' rms in fan-in + fan-out, where √fan would be 0.5",
        effect=Effect(scale_exponent, "sigmoid-xavier"),
        over="initialisations",
        supported=Limit(">", 0.25),
        refuted=Limit("<", -0.25),
        because={
            REFUTED: "Var(w) = 2 / (fan-in + fan-out) (Glorot & Bengio 2010, eq. 16): the scale"
            " falls with 1/√fan"
        },
    ),
    Claim(
        id="vanishing-slows",
        kind="effect",
        statement="Vanishing gradients slow the convergence.",
        quantity="steps until the mean loss of 100 batches is half of ln 10 (all steps where it"
        " never is), median of the variants that vanish over median of those that do not",
        effect=Effect(median_of_vanishing, steps_to_half_loss)
        / Effect(median_of_steady, steps_to_half_loss),
        over="seeds",
        average="geometric",
        supported=Limit(">", 2),
        refuted=Limit("<", 1),
    ),
    Claim(
        id="vanishing-ends-worse",
        kind="effect",
        statement="Vanishing gradients lead to worse solutions.",
        quantity="test accuracy at the end, median of the variants that vanish minus median of"
        " those that do not",
        effect=Effect(median_of_vanishing, final_accuracies)
        - Effect(median_of_steady, final_accuracies),
        over="seeds",
        supported=Limit("<", -0.05),
        refuted=Limit(">", -0.01),
    ),
    Claim(
        id="vanishing-overfits",
        kind="effect",
        statement="Vanishing gradients contribute to overfitting.",
        quantity="generalization gap in nats, median of the variants that vanish minus median of"
        " those that do not",
        effect=Effect(median_of_vanishing, generalization_gaps)
        - Effect(median_of_steady, generalization_gaps),
        over="seeds",
        supported=Limit(">", 0.01),
        refuted=Limit("<", -0.01),
        because={
            REFUTED: "a network that cannot fit its training data has nothing to overfit: it"
            " underfits"
        },
    ),
    Claim(
        id="most-gradients-small",
        kind="effect",
        statement="Most gradient values of a network that vanishes are very small.",
        quantity="share of all dL/dW between -0.02 and 0.02 at initialisation",
        effect=Effect(small_share, "sigmoid"),
        over="seeds",
        supported=Limit(">", 0.9),
        refuted=Limit("<", 0.5),
    ),
    Claim(
        id="histogram-tells",
        kind="effect",
        statement="A histogram of the gradients in equal bins shows that they vanish.",
        quantity="share of all dL/dW between -0.02 and 0.02 at initialisation, minus its median"
        " over the variants that do not vanish",
        effect=Effect(small_share, "sigmoid") - Effect(median_of_steady, small_shares),
        over="seeds",
        supported=Limit(">", 0.1),
        refuted=Limit("<", 0.05),
        because={
            REFUTED: "the gradients of single weights are small in every wide network, in those"
            " that learn too: equal bins over (-1, 1) cannot tell 1e-3 from 1e-8"
        },
    ),
    Claim(
        id="early-layers-barely-move",
        kind="effect",
        statement="Where the gradient vanishes the early layers barely move.",
        quantity="distance of the first layer's weights from their start, relative to their size,"
        " over that of the last hidden layer's",
        effect=Effect(displacement_ratio, "sigmoid"),
        over="seeds",
        average="geometric",
        supported=Limit("<", 0.1),
        refuted=Limit(">", 0.5),
    ),
)
