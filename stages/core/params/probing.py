"""The section of params.yaml that decides what `extract` measures, beside what is trained."""

from pydantic import PositiveFloat, PositiveInt

from stages.core.params.section import Increasing, Section
from stages.core.params.study import Study


class Extract(Section):
    """How statistics are taken."""

    probe_size: PositiveInt
    batch_size: PositiveInt
    tiny: PositiveFloat
    init_probe_size: PositiveInt
    init_seeds: PositiveInt
    sweep_depths: Increasing
    sweep_seeds: PositiveInt


class Probing(Study):
    """What is trained, and how statistics are taken of it."""

    extract: Extract
