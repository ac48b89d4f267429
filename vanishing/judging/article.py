"""What the article says, statement by statement.

Each function's docstring is a statement, in our words; what it returns is its effect for each fresh
initialisation or training seed, and the report shows its lines.
"""

import numpy as np
import pandas as pd

from vanishing.judging.claims import REFUTED, SUPPORTED, Claim, claim
from vanishing.judging.effects import (
    Tables,
    at_the_end,
    attenuation,
    depth_r_squared,
    depth_slope,
    displacement_ratio,
    drift,
    hop,
    imbalance,
    of,
    saturation,
    saturation_in_training,
    scale_exponent,
    small_share,
    steady,
    steps_to,
    theory_slope,
    vanishing,
)
from vanishing.stats.intervals import geometric_mean

SATURATED = "largest share in a hidden layer of z where φ' is below 1 % of its maximum"
HOP = "factor by which rms(dL/dz) changes per hop towards the input, at initialisation"
ACCURACY = "difference of test accuracies at the end"
IMBALANCE = "distance of the attenuation at initialisation from 1, in powers of ten"
_NEAR_ZERO = (
    "PyTorch's weights keep z near 0, where φ' is largest: at initialisation the gradient shrinks"
    " because φ' and σw² are small at their best, not because units saturate"
)


@claim(
    f"{SATURATED}, at initialisation",
    "initialisations",
    "sigmoid",
    above=0.05,
    below=0.01,
    because={REFUTED: _NEAR_ZERO},
)
def sigmoid_saturates(t: Tables) -> pd.Series:
    """Sigmoid units saturate."""
    return saturation(t, "sigmoid")


@claim(
    f"{SATURATED}, after training",
    "seeds",
    "sigmoid",
    above=0.05,
    below=0.01,
    because={REFUTED: "as long as the weights stay near their start, so does z near 0"},
)
def sigmoid_saturates_in_training(t: Tables) -> pd.Series:
    """Sigmoid units saturate while the network trains."""
    return saturation_in_training(t, "sigmoid")


@claim(
    f"{SATURATED}, at initialisation",
    "initialisations",
    "tanh",
    above=0.05,
    below=0.01,
    because={REFUTED: _NEAR_ZERO},
)
def tanh_saturates(t: Tables) -> pd.Series:
    """Tanh units saturate."""
    return saturation(t, "tanh")


@claim(f"{SATURATED}, after training", "seeds", "tanh", above=0.05, below=0.01)
def tanh_saturates_in_training(t: Tables) -> pd.Series:
    """Tanh units saturate while the network trains."""
    return saturation_in_training(t, "tanh")


@claim(
    HOP,
    "initialisations",
    "sigmoid",
    average=geometric_mean,
    below=0.9,
    above=1,
    because={SUPPORTED: "φ' ≤ 1/4, so that √χ ≤ √(σw²)/4: 0.14 with PyTorch's σw² = 1/3"},
)
def sigmoid_shrinks(t: Tables) -> pd.Series:
    """Sigmoid shrinks the gradient from layer to layer."""
    return hop(t, "sigmoid")


@claim(
    HOP,
    "initialisations",
    "tanh",
    average=geometric_mean,
    below=0.9,
    above=1,
    because={SUPPORTED: "φ' ≤ 1, so that √χ ≤ √(σw²): 0.58 with PyTorch's σw² = 1/3"},
)
def tanh_shrinks(t: Tables) -> pd.Series:
    """Tanh shrinks the gradient from layer to layer."""
    return hop(t, "tanh")


@claim(
    "ReLU's factor per hop at initialisation over sigmoid's",
    "initialisations",
    "relu",
    "sigmoid",
    average=geometric_mean,
    above=1.1,
    below=1,
)
def relu_shrinks_less(t: Tables) -> pd.Series:
    """ReLU shrinks the gradient less than sigmoid does."""
    return hop(t, "relu") / hop(t, "sigmoid")


@claim(
    HOP,
    "initialisations",
    "relu",
    average=geometric_mean,
    above=0.95,
    below=0.9,
    because={
        REFUTED: "χ = σw²/2, and PyTorch's weights have σw² = 1/3: a factor of √(1/6) = 0.41 per"
        " hop. ReLU does away with the shrinking by φ', not with that by the weights"
    },
)
def relu_avoids(t: Tables) -> pd.Series:
    """ReLU avoids the vanishing gradient."""
    return hop(t, "relu")


@claim(
    HOP,
    "initialisations",
    "relu-he",
    average=geometric_mean,
    above=0.95,
    below=0.9,
    because={SUPPORTED: "He's σw² = 2 makes χ = σw²/2 = 1 (He et al. 2015)"},
)
def relu_he_avoids(t: Tables) -> pd.Series:
    """ReLU with He's initialisation avoids the vanishing gradient."""
    return hop(t, "relu-he")


@claim(
    "Swish's factor per hop at initialisation over sigmoid's",
    "initialisations",
    "swish",
    "sigmoid",
    average=geometric_mean,
    above=1.1,
    below=1,
)
def swish_shrinks_less(t: Tables) -> pd.Series:
    """Swish shrinks the gradient less than sigmoid does."""
    return hop(t, "swish") / hop(t, "sigmoid")


@claim(
    "Swish's factor per hop at initialisation over ReLU's",
    "initialisations",
    "swish",
    "relu",
    average=geometric_mean,
    above=1.1,
    below=1,
    because={
        REFUTED: "near z = 0, where PyTorch's weights keep it, Swish is z/2 with φ'² = 1/4, while"
        " ReLU has φ'² = 1 for half of the units, 1/2 on average"
    },
)
def swish_shrinks_less_than_relu(t: Tables) -> pd.Series:
    """Swish shrinks the gradient less than ReLU does."""
    return hop(t, "swish") / hop(t, "relu")


@claim(ACCURACY, "seeds", "swish", "sigmoid", above=0.01, below=-0.01)
def swish_beats_sigmoid(t: Tables) -> pd.Series:
    """Swish ends with a better network than sigmoid."""
    accuracy = at_the_end(t)["test_accuracy"]
    return of(accuracy, "swish") - of(accuracy, "sigmoid")


@claim(ACCURACY, "seeds", "swish", "relu", above=0.01, below=-0.01)
def swish_beats_relu(t: Tables) -> pd.Series:
    """Swish ends with a better network than ReLU."""
    accuracy = at_the_end(t)["test_accuracy"]
    return of(accuracy, "swish") - of(accuracy, "relu")


@claim(
    "factor by which the attenuation changes per hidden layer, from a line through its logarithm",
    "initialisations",
    "sigmoid",
    average=geometric_mean,
    below=0.9,
    above=1,
)
def falls_with_depth(t: Tables) -> pd.Series:
    """The gradient in the first layer falls as the network gets deeper."""
    return depth_slope(t, "sigmoid").map(np.exp)


@claim(
    "R² of a line through the logarithm of the attenuation against depth",
    "initialisations",
    "sigmoid",
    above=0.99,
    below=0.9,
    because={
        SUPPORTED: "q settles at a fixed point within a few layers, and with it χ: each further"
        " layer multiplies by the same √χ (Schoenholz et al. 2017)"
    },
)
def falls_exponentially(t: Tables) -> pd.Series:
    """The gradient falls exponentially with depth."""
    return depth_r_squared(t, "sigmoid")


@claim(
    "relative difference of the slope of ln attenuation against depth from theory's",
    "initialisations",
    "sigmoid",
    below=0.03,
    above=0.1,
)
def falls_as_predicted(t: Tables) -> pd.Series:
    """The gradient falls with depth at the rate that mean-field theory predicts."""
    return (depth_slope(t, "sigmoid") / theory_slope(t, "sigmoid") - 1).abs()


@claim(
    "attenuation at initialisation with skip connections over that without",
    "initialisations",
    "sigmoid-skip",
    "sigmoid",
    average=geometric_mean,
    above=1.5,
    below=1,
    because={
        SUPPORTED: "the gradient of h grows by 1 + χ per layer instead of shrinking by χ"
        " (Yang & Schoenholz 2017)"
    },
)
def skip_eases(t: Tables) -> pd.Series:
    """Skip connections ease the vanishing of the gradient."""
    return attenuation(t, "sigmoid-skip") / attenuation(t, "sigmoid")


@claim(IMBALANCE, "initialisations", "sigmoid-batchnorm", below=0.5, above=1)
def batchnorm_stabilises_gradients(t: Tables) -> pd.Series:
    """Batch normalization keeps the gradient stable from layer to layer."""
    return imbalance(t, "sigmoid-batchnorm")


@claim(
    "drift of ln std(z) between snapshots with batch normalization over that without",
    "seeds",
    "sigmoid-batchnorm",
    "sigmoid",
    below=0.5,
    above=1,
    because={
        SUPPORTED: "by construction: z is the output of the normalization, whose scale, a"
        " parameter, moves slowly",
        REFUTED: "a network that does not learn keeps its distributions, and one that learns"
        " changes them: steady distributions are not what batch normalization helps with here",
    },
)
def batchnorm_stabilises_activations(t: Tables) -> pd.Series:
    """Batch normalization keeps the distributions of activations stable during training."""
    return drift(t, "sigmoid-batchnorm") / drift(t, "sigmoid")


@claim(
    "attenuation at initialisation with N(0, 1) weights over that with PyTorch's",
    "initialisations",
    "sigmoid-large-init",
    "sigmoid",
    average=geometric_mean,
    below=0.1,
    above=1,
    because={
        REFUTED: "χ = σw²·E[φ'(z)²]: saturation lowers E[φ'²] only as 1/σw, since φ' stays large"
        " for the few z near 0, while σw² grows; so χ grows as σw, and with σw² = 1000 it is"
        " above 1"
    },
)
def large_weights_shrink(t: Tables) -> pd.Series:
    """Large initial weights make the gradients very small."""
    return attenuation(t, "sigmoid-large-init") / attenuation(t, "sigmoid")


@claim(
    IMBALANCE,
    "initialisations",
    "tanh-xavier",
    below=0.5,
    above=1,
    because={SUPPORTED: "σw² = 1 and φ'(0) = 1 give χ = 1 as long as z stays near 0"},
)
def xavier_suits_tanh(t: Tables) -> pd.Series:
    """Xavier's initialisation gives tanh gradients of a suitable size."""
    return imbalance(t, "tanh-xavier")


@claim(
    IMBALANCE,
    "initialisations",
    "sigmoid-xavier",
    below=0.5,
    above=1,
    because={
        REFUTED: "Xavier's σw² = 1 assumes φ'(0) = 1, as tanh has it; sigmoid's φ'(0) = 1/4 leaves"
        " √χ below 1/4"
    },
)
def xavier_suits_sigmoid(t: Tables) -> pd.Series:
    """Xavier's initialisation gives sigmoid gradients of a suitable size."""
    return imbalance(t, "sigmoid-xavier")


@claim(
    "exponent of the weights' rms in fan-in + fan-out, where √fan would be 0.5",
    "initialisations",
    "sigmoid-xavier",
    above=0.25,
    below=-0.25,
    because={
        REFUTED: "Var(w) = 2 / (fan-in + fan-out) (Glorot & Bengio 2010, eq. 16): the scale falls"
        " with 1/√fan"
    },
)
def xavier_scale_grows(t: Tables) -> pd.Series:
    """Xavier's initialisation scales weights with the root of the number of connections."""
    return scale_exponent(t, "sigmoid-xavier")


@claim(
    "steps until the mean loss of 100 batches is half of ln 10 (all steps where it never is),"
    " median of the variants that vanish over median of those that do not",
    "seeds",
    average=geometric_mean,
    above=2,
    below=1,
)
def vanishing_slows(t: Tables) -> pd.Series:
    """Vanishing gradients slow the convergence."""
    steps = steps_to(t, np.log(10) / 2)
    return vanishing(t, steps) / steady(t, steps)


@claim(
    "test accuracy at the end, median of the variants that vanish minus median of those that do"
    " not",
    "seeds",
    below=-0.05,
    above=-0.01,
)
def vanishing_ends_worse(t: Tables) -> pd.Series:
    """Vanishing gradients lead to worse solutions."""
    accuracy = at_the_end(t)["test_accuracy"]
    return vanishing(t, accuracy) - steady(t, accuracy)


@claim(
    "generalization gap in nats, median of the variants that vanish minus median of those that do"
    " not",
    "seeds",
    above=0.01,
    below=-0.01,
    because={
        REFUTED: "a network that cannot fit its training data has nothing to overfit: it underfits"
    },
)
def vanishing_overfits(t: Tables) -> pd.Series:
    """Vanishing gradients contribute to overfitting."""
    gap = at_the_end(t)["gap"]
    return vanishing(t, gap) - steady(t, gap)


@claim(
    "share of all dL/dW between -0.02 and 0.02 at initialisation",
    "seeds",
    "sigmoid",
    above=0.9,
    below=0.5,
)
def most_gradients_small(t: Tables) -> pd.Series:
    """Most gradient values of a network that vanishes are very small."""
    return of(small_share(t), "sigmoid")


@claim(
    "share of all dL/dW between -0.02 and 0.02 at initialisation, minus its median over the"
    " variants that do not vanish",
    "seeds",
    "sigmoid",
    above=0.1,
    below=0.05,
    because={
        REFUTED: "the gradients of single weights are small in every wide network, in those that"
        " learn too: equal bins over (-1, 1) cannot tell 1e-3 from 1e-8"
    },
)
def histogram_tells(t: Tables) -> pd.Series:
    """A histogram of the gradients in equal bins shows that they vanish."""
    return of(small_share(t), "sigmoid") - steady(t, small_share(t))


@claim(
    "distance of the first layer's weights from their start, relative to their size, over that of"
    " the last hidden layer's",
    "seeds",
    "sigmoid",
    average=geometric_mean,
    below=0.1,
    above=0.5,
)
def early_layers_barely_move(t: Tables) -> pd.Series:
    """Where the gradient vanishes the early layers barely move."""
    return displacement_ratio(t, "sigmoid")


CLAIMS = [each for each in list(globals().values()) if isinstance(each, Claim)]
