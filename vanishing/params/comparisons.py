"""Comparisons of variants: each should differ from its reference in one thing."""

import sys

from vanishing.params.study import Study
from vanishing.paths import PARAMS


def warn_of_impure(study: Study) -> None:
    """Print a warning for each variant that `impure` finds."""
    for sentence in impure(study):
        print(f"warning: {PARAMS}: variants.{sentence}", file=sys.stderr)


def impure(study: Study) -> list[str]:
    """Find the variants that differ from the variant that they are compared to in several things.

    What such a comparison shows has several possible causes. `std` belongs to `init`: both
    together are one thing.

    Args:
        study: With the variants.

    Returns:
        A sentence for each, as "relu: differs from sigmoid in 2 things: activation (sigmoid, here
        relu), depth (4, here 5)".
    """
    sentences = []
    for name, variant in study.variants.items():
        if variant.compare_to is None:
            continue
        differences = variant.differences(study.variants[variant.compare_to])
        things = differences.keys() - ({"std"} if "init" in differences else set())
        if len(things) > 1:
            changes = [
                f"{field} ({theirs}, here {ours})" for field, (theirs, ours) in differences.items()
            ]
            sentences.append(
                f"{name}: differs from {variant.compare_to} in {len(things)} things:"
                f" {', '.join(changes)}"
            )
    return sentences
