"""params.yaml as frozen, validated objects: the one place that knows which keys there are.

In: params.yaml. Out: a `Params`, or a StudyError with one line per wrong key.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core.activations import ACTIVATIONS
from stages.core.errors import StudyError, did_you_mean
from stages.core.initialisers import INITIALISERS

PATH = Path("params.yaml")

# Safe in a file name, a shell word, a DVC stage name and an MLflow key alike.
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


def _one_of(registry: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"Input should be one of {', '.join(registry)}")
        return name

    return AfterValidator(check)


def _strictly_increasing(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("Input should be strictly increasing")
    return values


# `strict` forbids a list where a tuple is declared, and YAML has no tuples.
Increasing = Annotated[
    tuple[Annotated[NonNegativeInt, Field(strict=True)], ...],
    Field(min_length=1, strict=False),
    AfterValidator(_strictly_increasing),
]


class Section(BaseModel):
    """A mapping in params.yaml: frozen, no unknown keys, no conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
    """Which images, and how they are scaled."""

    dataset: Literal["MNIST", "FashionMNIST", "KMNIST"]
    mean: float
    std: PositiveFloat
    checksums: Checksums


class Train(Section):
    """How every variant is trained."""

    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["SGD"]
    learning_rate: PositiveFloat
    momentum: Annotated[NonNegativeFloat, Field(lt=1)]
    seeds: Increasing
    snapshots: Increasing
    trace_every: PositiveInt
    device: Literal["auto", "cpu", "cuda"]

    @model_validator(mode="after")
    def _snapshots_within_epochs(self) -> "Train":
        if self.snapshots[0] != 0 or self.snapshots[-1] != self.epochs:
            raise ValueError(
                f"snapshots: should begin with 0 and end with epochs ({self.epochs});"
                f" given {list(self.snapshots)}"
            )
        return self


class Extract(Section):
    """How statistics are taken."""

    probe_size: PositiveInt
    batch_size: PositiveInt
    tiny: PositiveFloat
    init_probe_size: PositiveInt
    init_seeds: PositiveInt
    sweep_depths: Increasing
    sweep_seeds: PositiveInt


class Diagnose(Section):
    """Where a verdict turns."""

    vanishing_below: PositiveFloat
    exploding_above: PositiveFloat
    chance_margin: Probability


class Variant(Section):
    """A network, and the variant that it is compared to."""

    activation: Annotated[str, _one_of(ACTIVATIONS)]
    depth: PositiveInt
    width: PositiveInt
    init: Annotated[str, _one_of(INITIALISERS)]
    std: PositiveFloat | None = None
    normalization: Literal["none", "batch"]
    skip: bool
    compare_to: VariantName | None = None

    @model_validator(mode="after")
    def _std_belongs_to_normal(self) -> "Variant":
        if (self.init == "normal") != (self.std is not None):
            raise ValueError(
                f"std: should be given with init: normal and only there; given {self.std}"
                f" with init: {self.init}"
            )
        return self

    def differences(self, other: "Variant") -> dict[str, tuple[Any, Any]]:
        """Return {field: (value in other, value here)} for the fields that describe the network."""
        here, there = (v.model_dump(exclude={"compare_to"}) for v in (self, other))
        return {key: (there[key], here[key]) for key in here if here[key] != there[key]}


class Params(Section):
    """All of params.yaml."""

    data: Data
    train: Train
    extract: Extract
    diagnose: Diagnose
    variants: dict[VariantName, Variant] = Field(min_length=1)

    @field_validator("variants")
    @classmethod
    def _references_exist(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
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

    @property
    def baseline(self) -> str:
        """The first variant that is compared to no other."""
        return next(name for name, variant in self.variants.items() if variant.compare_to is None)

    def variant(self, name: str) -> Variant:
        """Look up a variant that the command line named.

        Returns:
            Its parameters.

        Raises:
            StudyError: If params.yaml has no such variant.
        """
        if name not in self.variants:
            raise StudyError(
                f"{PATH}: no variant {name!r}{did_you_mean(name, self.variants)};"
                f" there are: {', '.join(self.variants)}"
            )
        return self.variants[name]


def load(path: Path = PATH) -> Params:
    """Read and validate params.yaml (YAML 1.2, as DVC reads it).

    Returns:
        The parameters, frozen.

    Raises:
        StudyError: If the file is missing, is not YAML, or holds a wrong key or value; one line
            for each, with the key, what was given and what is allowed.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in _explain_all(error.errors())]
        raise StudyError("\n".join(lines)) from None


def _explain_all(details: list[ErrorDetails]) -> list[str]:
    """Explain each problem once, at the first variant that has it: the others inherit it."""
    shared: dict[object, list[str]] = {}
    for detail in details:
        loc = detail["loc"]
        identity = (loc[2:], str(detail["input"])) if loc[:1] == ("variants",) and loc[2:] else loc
        shared.setdefault(identity, []).append(_explain(detail))
    return [
        first + (f" (and in {len(rest)} variants that inherit it)" if rest else "")
        for first, *rest in shared.values()
    ]


def _explain(detail: ErrorDetails) -> str:
    """Say in one line which key is wrong, what was given and what is allowed."""
    loc = [str(part) for part in detail["loc"] if part != "[key]"]
    key = ".".join(loc) or "the file"
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "..."  # noqa: PLR2004
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(loc[:-1])
        return f"{key}: unknown key{did_you_mean(loc[-1], allowed)}; allowed: {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    if detail["type"] in {"model_type", "dict_type"}:
        return f"{key}: Input should be a mapping; given {given}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and "given" in message:
        return f"{key}.{message}" if loc else message
    return f"{key}: {message}; given {given}"


def _allowed_keys(loc: list[str]) -> list[str]:
    """Return the keys that the section at `loc` may have."""
    model: type[BaseModel] = Params
    for part in loc:
        if model is Params and part == "variants":
            model = Variant
        elif part in model.model_fields:
            annotation = model.model_fields[part].annotation
            assert isinstance(annotation, type)  # noqa: S101 - sections nest plainly
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]
