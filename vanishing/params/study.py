"""The sections of params.yaml that decide how networks are trained: data, train and variants."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from vanishing.activations import ACTIVATIONS
from vanishing.errors import StudyError, did_you_mean
from vanishing.initialisers import INITIALISERS
from vanishing.params.base import Count, Increasing, Probability, Section, VariantName, one_of
from vanishing.paths import PARAMS

LAST = "last"  # the last of `snapshots` in params.yaml
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
NETWORK = rf"^{_WORD}(\.{_WORD})*:{_WORD}$"  # module:function
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Checksums(Section):
    """SHA-256 of the four IDX files, unpacked."""

    train_images: Sha256 = Field(alias="train-images-idx3-ubyte")
    train_labels: Sha256 = Field(alias="train-labels-idx1-ubyte")
    test_images: Sha256 = Field(alias="t10k-images-idx3-ubyte")
    test_labels: Sha256 = Field(alias="t10k-labels-idx1-ubyte")

    def by_file(self) -> dict[str, str]:
        """Return {file name: SHA-256}."""
        return self.model_dump(by_alias=True)


class Data(Section):
    """Which images, how many of them, and how they are scaled."""

    dataset: Literal["MNIST", "FashionMNIST", "KMNIST"]
    mean: Probability  # of pixels in [0, 1]
    std: Annotated[float, Field(ge=1e-3, le=1)]
    train_examples: Annotated[Count, Field(ge=2)]  # batch normalization needs a variance
    test_examples: Count
    checksums: Checksums


class Training(Section):
    """How one network is trained, by stochastic gradient descent with momentum."""

    epochs: Count
    batch_size: Count
    learning_rate: Annotated[PositiveFloat, Field(le=1e30)]
    momentum: Annotated[NonNegativeFloat, Field(lt=1)]
    snapshots: Increasing
    evaluation_size: Count
    trace_every: Count
    device: Literal["auto", "cpu", "cuda"]


class Train(Training):
    """How every variant is trained, once with each seed.

    In params.yaml `snapshots` ends with `last`, the last epoch, and may name epochs beyond it: so
    `epochs` can be changed alone. Here it has the epochs that there are.
    """

    seeds: Increasing

    @model_validator(mode="before")
    @classmethod
    def _snapshots_of_the_epochs_that_there_are(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        names, epochs = content.get("snapshots"), content.get("epochs")
        if not isinstance(names, list) or type(epochs) is not int:
            return content  # explained by the checks of types
        *numbers, last = names or [None]
        if last != LAST or 0 not in numbers[:1]:
            raise ValueError(f"snapshots: should begin with 0 and end with {LAST}; given {names}")
        kept = [n for n in numbers if type(n) is not int or n < epochs]
        return {**content, "snapshots": [*kept, epochs]}

    def of_one_seed(self) -> Training:
        """Return the settings that one training run depends on."""
        return Training(**{key: getattr(self, key) for key in Training.model_fields})


class Variant(Section):
    """A network that the study trains, and the variant that it is compared to.

    Attributes:
        network: `module:function` of a module beside params.yaml, called as `networks.build.build`
            is; None for the multilayer perceptron that `networks.mlp` builds.
    """

    activation: Annotated[str, one_of(ACTIVATIONS)]
    depth: Count
    width: Count
    init: Annotated[str, one_of(INITIALISERS)]
    std: Annotated[PositiveFloat, Field(le=1e6)] | None = None
    normalization: Literal["none", "batch"]
    skip: bool
    network: Annotated[str, StringConstraints(pattern=NETWORK)] | None = None
    compare_to: VariantName | None = None

    @model_validator(mode="after")
    def _std_belongs_to_normal(self) -> "Variant":
        if (self.init == "normal") != (self.std is not None):
            raise ValueError(
                f"std: should be given with init: normal and only there; given {self.std}"
                f" with init: {self.init}"
            )
        return self

    def differences(self, other: "AnyVariant") -> dict[str, tuple[Any, Any]]:
        """Return {field: (value in `other`, value here)} where the two networks differ."""
        if isinstance(other, Recorded):
            return {"recorded": (other.recorded, None)}
        ours, theirs = (v.model_dump(exclude={"compare_to"}) for v in (self, other))
        return {key: (theirs[key], ours[key]) for key in ours if ours[key] != theirs[key]}

    def at_depth(self, depth: int) -> "Variant":
        """Return the same network with another number of hidden layers."""
        return self.model_copy(update={"depth": depth})


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

    def differences(self, other: "AnyVariant") -> dict[str, tuple[Any, Any]]:
        """Return that it is a recorded run: one thing, since its settings are not the study's."""
        return {"recorded": (getattr(other, "recorded", None), self.recorded)}


AnyVariant = Variant | Recorded
_TRAINED, _RECORDED = "[trained]", "[recorded]"  # in brackets, as pydantic's "[key]"


def _kind(content: Any) -> str:
    """Tell which section a variant of params.yaml is."""
    is_recorded = isinstance(content, Recorded) or (
        isinstance(content, dict) and "recorded" in content
    )
    return _RECORDED if is_recorded else _TRAINED


class Study(Section):
    """How networks are trained; the other sections of params.yaml are neither read nor checked.

    Attributes:
        root: Path from the study's folder to the root of the repository.
        code: File or folder, relative to the study's folder, of the modules that variants name.
    """

    model_config = ConfigDict(extra="ignore")

    root: Annotated[str, StringConstraints(pattern=r"^(\.|\.\.(/\.\.)*)$")]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*$")]
    data: Data
    train: Train
    variants: dict[
        VariantName,
        Annotated[
            Annotated[Variant, Tag(_TRAINED)] | Annotated[Recorded, Tag(_RECORDED)],
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
        if self.train.batch_size == 1:
            for name, variant in self.trained.items():
                if variant.normalization == "batch":
                    raise ValueError(
                        f"variants.{name}.normalization: batch needs train.batch_size to be 2 or"
                        " more; given 1"
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
    def trained(self) -> dict[str, Variant]:
        """The variants that the study trains, without those that are recorded runs."""
        return {
            name: variant for name, variant in self.variants.items() if isinstance(variant, Variant)
        }

    @property
    def baseline(self) -> str:
        """The first variant that is compared to no other."""
        return next(name for name, variant in self.variants.items() if variant.compare_to is None)

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
