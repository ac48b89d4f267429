"""The one figure of a comparison, from the data of DVC's plots."""

import io
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from vanishing.comparing.comparison import Comparison
from vanishing.comparing.results import CURVES, GRADIENTS, Results
from vanishing.reporting import figures
from vanishing.reporting.before_after import MOST, Curves, draw_before_and_after

_COLUMNS = {
    CURVES: ["variant", "epoch", "train_loss", "test_accuracy"],
    GRADIENTS: ["variant", "epoch", "layer_index", "rms"],
}
VISIBLE = 0.01  # the size of a number's change from which on its variant is drawn


class Selection(NamedTuple):
    """What the figure shows.

    Attributes:
        before: Curves of all variants, with their names afterwards.
        after: The same, afterwards.
        names: The variants to draw: MOST at the most, those that changed most.
        left_out: How many more there are.
    """

    before: Curves
    after: Curves
    names: list[str]
    left_out: int


def select(comparison: Comparison) -> Selection:
    """Select new variants, and those of which a verdict or, visibly, a number changed."""
    before, after = _curves(comparison.old), _curves(comparison.new)
    drawable = set(after.history["variant"]) & set(after.gradients["variant"])
    sizes = {change.variant: VISIBLE for change in comparison.verdicts}
    sizes |= dict.fromkeys(comparison.variants.added, VISIBLE)
    for number in comparison.changed:
        sizes[number.variant] = max(sizes.get(number.variant, 0.0), number.size)
    names = [name for name in comparison.new.metrics if sizes.get(name, 0.0) >= VISIBLE]
    candidates = [name for name in names if name in drawable]
    largest = sorted(candidates, key=lambda name: -sizes[name])[:MOST]
    renamed = {name: after for after, name in comparison.variants.renamed.items()}
    return Selection(
        Curves(*(frame.assign(variant=frame["variant"].replace(renamed)) for frame in before)),
        after,
        [name for name in candidates if name in largest],
        len(names) - len(largest),
    )


def draw(comparison: Comparison, path: Path) -> Selection | None:
    """Draw the curves of the variants that changed, before and after, as PNG.

    Args:
        comparison: Of two results.
        path: Of the figure.

    Returns:
        What is drawn; None where there is nothing to draw, and no file is written.
    """
    selection = select(comparison)
    if not comparison.old.exist or not selection.names:
        return None
    before, after, names, _ = selection
    figures.save(partial(draw_before_and_after, before, after, names), path)
    return selection


def _curves(results: Results) -> Curves:
    return Curves(*(_frame(results.text(path), columns) for path, columns in _COLUMNS.items()))


def _frame(text: str, columns: list[str]) -> pd.DataFrame:
    """Read CSV; a text without these columns, of an older version, has no rows."""
    frame = pd.read_csv(io.StringIO(text), dtype={"variant": str}) if text else pd.DataFrame()
    return frame if {*columns} <= {*frame.columns} else pd.DataFrame(columns=columns)
