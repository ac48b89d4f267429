"""The sections of params.yaml that decide how networks are trained: data, train and variants."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from vanishing.activations import ACTIVATIONS
from vanishing.errors import StudyError, did_you_mean
from vanishing.initialisers import INITIALISERS
from vanishing.params.base import Count, Increasing, Section, VariantName, one_of
from vanishing.params.data import FUNCTION, Data
from vanishing.params.optimizers import Optimizer
from vanishing.paths import PARAMS

LAST = "last"  # the last of `snapshots` in params.yaml
NONE = "none"  # of `clip_norm`
Precision = Literal["float32", "bfloat16"]


def _none_or_above_zero(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value != NONE and not (is_number and 0 < value < float("inf")):
        raise ValueError("Input should be none or a number greater than 0")
    return value


ClipNorm = Annotated[float | Literal["none"], BeforeValidator(_none_or_above_zero)]


class Training(Section):
    """How one network is trained.

    Attributes:
        epochs: How often each example is used.
        batch_size: Examples per step.
        optimizer: Which one, with its settings.
        clip_norm: Where the l2 norm of the gradient of all parameters together is above this, it is
            scaled down to it before the step (Pascanu et al. 2013); or `none`.
        precision: `bfloat16` is automatic mixed precision: matrix products and what else is safe in
            bfloat16; weights, gradients and the optimizer in float32.
        snapshots: The epochs after which weights are kept; the first is 0, the last `epochs`.
        evaluation_size: Training examples behind the loss at the end of an epoch.
        trace_every: Of how many steps one is traced.
        device: Where.
    """

    epochs: Count
    batch_size: Count
    optimizer: Optimizer
    clip_norm: ClipNorm
    precision: Precision
    snapshots: Increasing
    evaluation_size: Count
    trace_every: Count
    device: Literal["auto", "cpu", "cuda"]


class Overrides(Section):
    """Settings of `train` that a variant has otherwise; None where it has those of `train`.

    Attributes:
        compare_to: The variant that it should differ from in one thing.
    """

    optimizer: Optimizer | None = None
    batch_size: Count | None = None
    epochs: Count | None = None
    clip_norm: ClipNorm | None = None
    precision: Precision | None = None
    compare_to: VariantName | None = None

    @property
    def training(self) -> dict[str, Any]:
        """The settings that are not those of `train`."""
        settings = {key: getattr(self, key) for key in OVERRIDABLE}
        return {key: value for key, value in settings.items() if value is not None}


OVERRIDABLE = tuple(key for key in Overrides.model_fields if key in Training.model_fields)


class Train(Training):
    """How variants are trained, once with each seed, but where they override a setting.

    In params.yaml `snapshots` ends with `last`, the last epoch, and may name epochs beyond it: so
    `epochs` can be changed alone. Here it has the numbers, without the last.
    """

    seeds: Increasing

    @field_validator("snapshots", mode="before")
    @classmethod
    def _without_the_last(cls, names: Any) -> Any:
        if not isinstance(names, list):
            return names  # explained by the check of its type
        *numbers, last = names or [None]
        if last != LAST or 0 not in numbers[:1]:
            raise ValueError(f"Input should begin with 0 and end with {LAST}")
        return numbers

    def of_one_seed(self, overrides: Overrides | None = None) -> Training:
        """Return the settings that one training run depends on.

        Args:
            overrides: The variant that is trained; None for one that overrides nothing.

        Returns:
            The settings.
        """
        settings = {key: getattr(self, key) for key in Training.model_fields}
        settings |= overrides.training if overrides else {}
        epochs = settings["epochs"]
        settings["snapshots"] = (*(n for n in self.snapshots if n < epochs), epochs)
        return Training(**settings)


class Variant(Overrides):
    """A multilayer perceptron that the study trains, as `networks.mlp` builds it."""

    activation: Annotated[str, one_of(ACTIVATIONS)]
    depth: Count
    width: Count
    init: Annotated[str, one_of(INITIALISERS)]
    std: Annotated[PositiveFloat, Field(le=1e6)] | None = None
    normalization: Literal["none", "batch"]
    skip: bool

    @model_validator(mode="after")
    def _std_belongs_to_normal(self) -> "Variant":
        if (self.init == "normal") != (self.std is not None):
            raise ValueError(
                f"std: should be given with init: normal and only there; given {self.std}"
                f" with init: {self.init}"
            )
        return self

    def at_depth(self, depth: int) -> "Variant":
        """Return the same network with another number of hidden layers."""
        return self.model_copy(update={"depth": depth})


class Built(Overrides):
    """Any network that the study trains.

    Attributes:
        network: `module:function`, of an installed package or of a module beside params.yaml. It
            is called as `networks.build.build_function` says.
        arguments: Its keyword arguments.
    """

    network: Annotated[str, StringConstraints(pattern=FUNCTION)]
    arguments: dict[str, Any] = Field(default_factory=dict)


def _relative(folder: str) -> str:
    if not folder.strip() or "\n" in folder or folder.startswith("/"):
        raise ValueError("Input should be a folder, relative to the study's folder")
    return folder


class Recorded(Section):
    """A training that `vanishing.watch` recorded: the study judges it, and trains nothing.

    Its tables have no epochs, no test images and no snapshots; those that need them are empty.

    Attributes:
        recorded: The run's folder, relative to the study's folder.
        compare_to: Another variant; the baseline is trained.
    """

    recorded: Annotated[str, AfterValidator(_relative)]
    compare_to: VariantName


TrainedVariant = Variant | Built
AnyVariant = Variant | Built | Recorded
_TRAINED, _BUILT, _RECORDED = "[trained]", "[built]", "[recorded]"  # as pydantic's "[key]"


def _kind(content: Any) -> str:
    """Tell which section a variant of params.yaml is."""
    for kind, key, tag in ((Recorded, "recorded", _RECORDED), (Built, "network", _BUILT)):
        if isinstance(content, kind) or (isinstance(content, dict) and key in content):
            return tag
    return _TRAINED


class Study(Section):
    """How networks are trained; the other sections of params.yaml are neither read nor checked.

    Attributes:
        root: Path from the study's folder to the root of the repository.
        code: File or folder, relative to the study's folder, of the modules that params.yaml names.
    """

    model_config = ConfigDict(extra="ignore")

    root: Annotated[str, StringConstraints(pattern=r"^(\.|\.\.(/\.\.)*)$")]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*$")]
    data: Data
    train: Train
    variants: dict[
        VariantName,
        Annotated[
            Annotated[Variant, Tag(_TRAINED)]
            | Annotated[Built, Tag(_BUILT)]
            | Annotated[Recorded, Tag(_RECORDED)],
            Discriminator(_kind),
        ],
    ] = Field(min_length=1)

    @field_validator("variants")
    @classmethod
    def _references_exist(cls, variants: dict[str, AnyVariant]) -> dict[str, AnyVariant]:
        for name, variant in variants.items():
            reference = variant.compare_to
            if reference is None:
                continue
            others = [other for other in variants if other != name]
            if reference not in others:
                raise ValueError(
                    f"{name}.compare_to: should be another variant{did_you_mean(reference, others)}"
                    f"; given {reference!r}"
                )
        if all(variant.compare_to is not None for variant in variants.values()):
            raise ValueError("one variant, the baseline, should have no compare_to")
        return variants

    @model_validator(mode="after")
    def _batch_normalization_has_a_batch(self) -> "Study":
        for name, variant in self.trained.items():
            normalises = isinstance(variant, Variant) and variant.normalization == "batch"
            if normalises and self.training(name).batch_size == 1:
                raise ValueError(
                    f"variants.{name}.normalization: batch needs a batch_size of 2 or more; given 1"
                )
        return self

    @model_validator(mode="after")
    def _a_recorded_run_has_one_seed(self) -> "Study":
        recorded = [name for name in self.variants if name not in self.trained]
        if recorded and len(self.train.seeds) > 1:
            raise ValueError(
                f"train.seeds: should be one seed, since variants.{recorded[0]} is one recorded"
                f" run; given {list(self.train.seeds)}"
            )
        return self

    @property
    def trained(self) -> dict[str, TrainedVariant]:
        """The variants that the study trains, without those that are recorded runs."""
        return {
            name: variant
            for name, variant in self.variants.items()
            if not isinstance(variant, Recorded)
        }

    @property
    def perceptrons(self) -> dict[str, Variant]:
        """The variants that are multilayer perceptrons."""
        return {
            name: variant for name, variant in self.variants.items() if isinstance(variant, Variant)
        }

    @property
    def baseline(self) -> str:
        """The first variant that is compared to no other."""
        return next(name for name, variant in self.variants.items() if variant.compare_to is None)

    def training(self, name: str) -> Training:
        """Return how a variant that the study trains is trained, with one seed."""
        return self.train.of_one_seed(self.trained[name])

    def variant(self, name: str) -> AnyVariant:
        """Look up a variant that the command line names.

        Returns:
            Its parameters.

        Raises:
            StudyError: If params.yaml has no such variant.
        """
        if name not in self.variants:
            raise StudyError(
                f"{PARAMS}: no variant {name!r}{did_you_mean(name, self.variants)};"
                f" there are: {', '.join(self.variants)}"
            )
        return self.variants[name]

    def seed(self, text: str) -> int:
        """Look up a seed that the command line names.

        Returns:
            The seed.

        Raises:
            StudyError: If `train.seeds` has no such seed.
        """
        if text not in map(str, self.train.seeds):
            raise StudyError(
                f"{PARAMS}: no seed {text!r}; train.seeds has"
                f" {', '.join(map(str, self.train.seeds))}"
            )
        return int(text)
