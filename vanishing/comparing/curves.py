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


class Selection(NamedTuple):
    """What the figure shows.

    Attributes:
        before: Curves of all variants, with their names afterwards.
        after: The same, afterwards.
        names: The variants to draw, MOST at the most.
    """

    before: Curves
    after: Curves
    names: list[str]


def select(comparison: Comparison) -> Selection:
    """Select the variants that changed, and new ones; of too many, those that changed most."""
    before, after = _curves(comparison.old), _curves(comparison.new)
    known = set(after.history["variant"]) & set(after.gradients["variant"])
    names = [name for name in comparison.changed_variants if name in known]
    sizes = dict.fromkeys(names, 0.0)
    for number in comparison.changed:
        sizes[number.variant] = max(sizes.get(number.variant, 0.0), number.size)
    largest = sorted(names, key=lambda name: -sizes[name])[:MOST]
    renamed = {name: after for after, name in comparison.variants.renamed.items()}
    return Selection(
        Curves(*(frame.assign(variant=frame["variant"].replace(renamed)) for frame in before)),
        after,
        [name for name in names if name in largest],
    )


def draw(comparison: Comparison, path: Path) -> list[str]:
    """Draw the curves of the variants that changed, before and after, as PNG.

    Args:
        comparison: Of two results.
        path: Of the figure; nothing is written if there is nothing to draw.

    Returns:
        The names of the variants that are drawn.
    """
    selection = select(comparison)
    if not comparison.old.exist or not selection.names:
        return []
    figures.save(partial(draw_before_and_after, *selection), path)
    return selection.names


def _curves(results: Results) -> Curves:
    return Curves(*(_frame(results.text(path), columns) for path, columns in _COLUMNS.items()))


def _frame(text: str, columns: list[str]) -> pd.DataFrame:
    """Read CSV; a text without these columns, of an older version, has no rows."""
    frame = pd.read_csv(io.StringIO(text), dtype={"variant": str}) if text else pd.DataFrame()
    return frame if {*columns} <= {*frame.columns} else pd.DataFrame(columns=columns)
