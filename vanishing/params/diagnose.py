"""Claims, diagnose (thresholds of the health rules) and expect, and with them all sections."""

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from vanishing.errors import did_you_mean
from vanishing.params.answers import ANSWERS, LEARNING
from vanishing.params.base import Probability, Section, VariantName, one_of
from vanishing.params.extract import Measured
from vanishing.params.study import Study
from vanishing.paths import ARTICLE, CLAIMS

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"  # of a module


class VanishingGradient(Section):
    """The mean |dL/dW| of some layer is below this."""

    mean_abs_below: PositiveFloat


class VanishingAttenuation(Section):
    """The attenuation at initialisation is below this."""

    below: PositiveFloat


class ExplodingAttenuation(Section):
    """The attenuation at initialisation is above this."""

    above: PositiveFloat


class ExplodingTensor(Section):
    """More than this share of some tensor is NaN or infinite."""

    nonfinite_above: Probability


class NonfiniteLoss(Section):
    """More than so many losses are NaN or infinite."""

    count_above: NonNegativeInt


class PoorInitialisation(Section):
    """The layers start on different scales, or with tiny gradients, or the loss does not fall."""

    variance_ratio_above: PositiveFloat
    gradient_range_below: PositiveFloat
    first_steps: PositiveInt
    stalled_from: PositiveInt


class SaturatedActivation(Section):
    """Most units of some layer are flat for some of the examples."""

    unit_above: Probability
    layer_above: Probability


class DeadRelu(Section):
    """Most units of some layer are active for hardly any example."""

    unit_below: Probability
    layer_above: Probability


class UpdateRatio(Section):
    """A step changes some layer's weights by too much or too little."""

    above: PositiveFloat
    below: PositiveFloat


class AllZero(Section):
    """At least this share of some tensor is zero."""

    share_from: Probability


class UnchangedTensor(Section):
    """Some layer's weights hardly change for so many consecutive traced steps."""

    ratio_below: PositiveFloat
    steps: PositiveInt


class LossNotDecreasing(Section):
    """The training loss falls by less than this share in so many steps."""

    share_below: PositiveFloat
    steps: PositiveInt


class Overfit(Section):
    """The test loss exceeds the training loss by more than this multiple of the latter."""

    ratio_above: PositiveFloat


class Overtraining(Section):
    """The training or the test loss has not fallen by `delta` for so many epochs."""

    train_patience: PositiveInt
    test_patience: PositiveInt
    delta: PositiveFloat


class AtChance(Section):
    """The test accuracy is within this margin of guessing."""

    margin: Probability


class Debugger(Section):
    """The thresholds of the rules that Amazon SageMaker Debugger has too, by their names."""

    vanishing_gradient: VanishingGradient
    exploding_tensor: ExplodingTensor
    poor_initialisation: PoorInitialisation
    saturated_activation: SaturatedActivation
    dead_relu: DeadRelu
    update_ratio: UpdateRatio
    all_zero: AllZero
    unchanged_tensor: UnchangedTensor
    loss_not_decreasing: LossNotDecreasing
    overfit: Overfit
    overtraining: Overtraining


class Diagnose(Debugger):
    """The thresholds of each health rule, by its name."""

    vanishing_attenuation: VanishingAttenuation
    exploding_attenuation: ExplodingAttenuation
    nonfinite_loss: NonfiniteLoss
    at_chance: AtChance


def _check_expectations(expected: dict[str, bool | str]) -> dict[str, bool | str]:
    """Check that an answer is expected of learning, and true or false of each rule.

    Args:
        expected: {rule, or LEARNING: expectation}.

    Returns:
        The same.

    Raises:
        ValueError: If an expectation is of the other kind.
    """
    for rule, expectation in expected.items():
        if rule == LEARNING and expectation not in ANSWERS:
            wanted = f"one of {', '.join(ANSWERS)}"
        elif rule != LEARNING and not isinstance(expectation, bool):
            wanted = "a boolean: true or false"
        else:
            continue
        raise ValueError(f"{rule}: should be {wanted}; given {expectation!r}")
    return expected


Expected = Annotated[  # {rule: whether it should find a problem}, and {LEARNING: an answer}
    dict[Annotated[str, one_of([LEARNING, *Diagnose.model_fields])], bool | str],
    AfterValidator(_check_expectations),
]


class Judged(Study):
    """A study, and where the statements are that it judges.

    Attributes:
        claims: Path, relative to the study's folder, of the module that has them: `claims.py`
            beside params.yaml, or one of the library.
    """

    claims: Annotated[str, StringConstraints(pattern=rf"^(\.\./)*({_NAME}/)*{_NAME}\.py$")]

    @property
    def claims_module(self) -> str:
        """The module's dotted name, as it is found from the study's folder or from the root."""
        return module_of(self.claims, self.root)

    @property
    def is_of_article(self) -> bool:
        """Whether the statements are those of the article."""
        return Path(self.claims) == Path(self.root) / ARTICLE


def module_of(claims: str, root: str) -> str:
    """Return the dotted name of the module of claims, as found from the study or from the root."""
    path, folder = Path(claims), Path(root)
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    return ".".join(inside.with_suffix("").parts)


class Params(Measured, Judged):
    """All of params.yaml; a section that is not here is an error.

    Attributes:
        diagnose: Where the verdicts turn.
        expect: {variant: {rule: whether it should find a problem}}, and of `learning` the verdict.
            It stands beside the variants and not in them: an expectation is no reason to train
            anew, and YAML's merge would hand the baseline's on to every variant.
        remedies: The variants for which a remedy is looked for; beside them likewise.
        repeated_by: Path, relative to the study's folder, of the claims.json of a study that judges
            the same statements with more seeds; where there is none, the study's own.
    """

    model_config = ConfigDict(extra="forbid")

    diagnose: Diagnose
    expect: dict[VariantName, Expected] = Field(default_factory=dict)
    remedies: Annotated[tuple[VariantName, ...], Field(strict=False)]
    repeated_by: Annotated[str, StringConstraints(pattern=r"^(\.\./)*([\w-]+/)*claims\.json$")]

    @property
    def is_repeated(self) -> bool:
        """Whether another study judges the same statements with more seeds."""
        return Path(self.repeated_by) != CLAIMS

    @model_validator(mode="after")
    def _expectations_are_of_variants(self) -> "Params":
        for name in self.expect:
            if name not in self.variants:
                raise ValueError(
                    f"expect.{name}: should be a variant{did_you_mean(name, self.variants)};"
                    f" given {name!r}"
                )
        return self

    @model_validator(mode="after")
    def _remedies_are_of_trained_variants(self) -> "Params":
        for name in self.remedies:
            if name not in self.trained:
                raise ValueError(
                    "remedies: should be variants that are trained"
                    f"{did_you_mean(name, self.trained)}; given {name!r}"
                )
        if len(set(self.remedies)) < len(self.remedies):
            raise ValueError(f"remedies: should name a variant once; given {list(self.remedies)}")
        return self
