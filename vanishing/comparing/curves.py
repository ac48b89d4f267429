"""The one figure of a comparison, from the data of DVC's plots."""

import io
from functools import partial
from pathlib import Path

import pandas as pd

from vanishing.comparing.comparison import Comparison
from vanishing.comparing.results import CURVES, GRADIENTS, Results
from vanishing.reporting import figures
from vanishing.reporting.before_after import MOST, Curves, draw_before_and_after

_COLUMNS = {
    CURVES: ["variant", "epoch", "train_loss", "test_accuracy"],
    GRADIENTS: ["variant", "epoch", "layer_index", "rms"],
}


def draw(comparison: Comparison, path: Path) -> list[str]:
    """Draw the curves of the variants that changed, before and after, as PNG.

    Args:
        comparison: Of two results.
        path: Of the figure; nothing is written if there is nothing to draw.

    Returns:
        The names of the variants that are drawn: MOST at the most, those whose numbers changed most
        in size first.
    """
    before, after = _curves(comparison.old), _curves(comparison.new)
    before = Curves(*(_renamed(frame, comparison.variants.renamed) for frame in before))
    known = set(after.history["variant"]) & set(after.gradients["variant"])
    names = [name for name in comparison.changed_variants if name in known]
    if not comparison.old.exist or not names:
        return []
    sizes = dict.fromkeys(names, 0.0)
    for number in comparison.changed:
        sizes[number.variant] = max(sizes.get(number.variant, 0.0), number.size)
    largest = sorted(names, key=lambda name: -sizes[name])[:MOST]
    drawn = [name for name in names if name in largest]
    figures.save(partial(draw_before_and_after, before, after, drawn), path)
    return drawn


def _curves(results: Results) -> Curves:
    return Curves(*(_frame(results.text(path), columns) for path, columns in _COLUMNS.items()))


def _frame(text: str, columns: list[str]) -> pd.DataFrame:
    """Read CSV; a text without these columns, of an older version, has no rows."""
    frame = pd.read_csv(io.StringIO(text), dtype={"variant": str}) if text else pd.DataFrame()
    return frame if {*columns} <= {*frame.columns} else pd.DataFrame(columns=columns)


def _renamed(frame: pd.DataFrame, renamed: dict[str, str]) -> pd.DataFrame:
    names = {before: after for after, before in renamed.items()}
    return frame.assign(variant=frame["variant"].replace(names))
