"""Check all of params.yaml before anything else runs: `python -m stages.validate [V …]`.

In: params.yaml, and the variants that the command line names. Out: data/validated, always the same.
Every stage checks the sections that it reads; but DVC removes a stage's outputs before it starts
the stage, and hands the variants' names to a shell. So `train` depends on this stage's output: it
runs again after any edit of params.yaml, and as its output never changes, nothing else does.
"""

import math
import sys
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.datasets.idx import CLASSES
from vanishing.errors import StudyError
from vanishing.files import VALIDATED, write_text
from vanishing.networks import memory
from vanishing.params import base as section
from vanishing.params.diagnose import Params
from vanishing.pipeline.guard import run_stage

# Of each of the datasets that params.yaml can name.
_PIXELS = 28 * 28
_EXAMPLES = 60_000

_LARGEST = 1_000_000  # values in params.yaml, aliases written out; ten thousand variants are fewer


def main(argv: list[str]) -> None:
    """Read params.yaml, look up the variants named, if any, and estimate memory."""
    with suppress(OSError, YAMLError, UnicodeDecodeError):  # which `load` tells of
        _check_size()
    settings = section.load(Params)
    for name in argv:
        settings.variant(name)
    extract = settings.extract
    probed = min(extract.batch_size, max(extract.probe_size, extract.init_probe_size))
    for name, variant in settings.variants.items():
        deepest = variant.model_copy(update={"depth": extract.sweep_depths[-1]})
        for key, each, batch_size in (
            (f"variants.{name}", variant, min(settings.train.batch_size, _EXAMPLES)),
            ("extract.sweep_depths", deepest, probed),
        ):
            memory.check(key, memory.needed_bytes(each, _PIXELS, CLASSES, batch_size))
    if not VALIDATED.exists():
        write_text(VALIDATED, "params.yaml is valid\n")


def _check_size() -> None:
    """Refuse a file that a few aliases, or brackets, blow up: DVC and messages write it out."""
    try:
        count = _size(YAML(typ="safe", pure=True).load(section.PATH), {})
    except RecursionError:
        count = math.inf
    if count > _LARGEST:
        raise StudyError(
            f"{section.PATH}: nests too deeply, or its aliases written out are more than"
            f" {_LARGEST:,} values; write it plainly"
        )


def _size(value: Any, known: dict[int, float]) -> float:
    """Count the values in nested mappings and lists; infinitely many where one contains itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(each, known) for each in inner)
    return known[id(value)]


if __name__ == "__main__":
    sys.exit(run_stage(main))
