"""The section data of params.yaml: which examples, how many, and how they are scaled."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from vanishing.params.base import Count, Probability, Section

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
FUNCTION = rf"^{_WORD}(\.{_WORD})*:{_WORD}$"  # module:function
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


class _Splits(Section):
    train_examples: Annotated[Count, Field(ge=2)]  # batch normalization needs a variance
    test_examples: Count


class Images(_Splits):
    """Greyscale images in IDX files, as MNIST has them."""

    dataset: Literal["MNIST", "FashionMNIST", "KMNIST"]
    mean: Probability  # of pixels in [0, 1]
    std: Annotated[float, Field(ge=1e-3, le=1)]
    checksums: Checksums


class Computed(_Splits):
    """Examples that a function returns.

    Attributes:
        dataset: `module:function`, of an installed package or of a module beside params.yaml. It
            is called as `datasets.computed.call` says.
        arguments: Its keyword arguments.
        checksum: SHA-256 of what it should return, in the file that the study keeps; None for
            whatever it returns.
    """

    dataset: Annotated[str, StringConstraints(pattern=FUNCTION)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    checksum: Sha256 | None = None


def _tag(content: Any) -> str:
    """Tell which section `data` is; in brackets, as pydantic's "[key]"."""
    name = content.get("dataset") if isinstance(content, dict) else getattr(content, "dataset", "")
    return "[computed]" if ":" in str(name) else "[images]"


Data = Annotated[
    Annotated[Images, Tag("[images]")] | Annotated[Computed, Tag("[computed]")],
    Discriminator(_tag),
]
