"""The section of params.yaml that decides how statistics are taken: extract."""

from pydantic import model_validator

from vanishing.params.base import Count, Increasing, Section
from vanishing.params.study import Study


class Extract(Section):
    """How statistics are taken."""

    probe_size: Count
    batch_size: Count
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


class Measured(Study):
    """How networks are trained, and how statistics are taken of them."""

    extract: Extract
