"""The section of params.yaml that decides what `extract` measures, beside what is trained."""

from pydantic import PositiveFloat, model_validator

from vanishing.params.base import Count, Increasing, Section
from vanishing.params.study import Study


class Extract(Section):
    """How statistics are taken."""

    probe_size: Count
    batch_size: Count
    tiny: PositiveFloat
    init_probe_size: Count
    init_seeds: Count
    sweep_depths: Increasing
    sweep_seeds: Count

    @model_validator(mode="after")
    def _networks_have_a_hidden_layer(self) -> "Extract":
        if self.sweep_depths[0] == 0:
            raise ValueError(
                f"sweep_depths: should be 1 or more each; given {list(self.sweep_depths)}"
            )
        return self


class Probing(Study):
    """What is trained, and how statistics are taken of it."""

    extract: Extract
