"""Colours of variants for charts whose lines differ in nothing else, as MLflow's do."""

from collections.abc import Sequence
from itertools import cycle

from vanishing.reporting.style import PALETTE


def of_variants(names: Sequence[str]) -> dict[str, str]:
    """Give each variant a colour.

    Returns:
        {name: colour}: the first seven as in the report's figures, then tints of these. Colours
        repeat from the 15th name on.
    """
    return dict(zip(names, cycle([*PALETTE, *map(_tint, PALETTE)]), strict=False))


def _tint(color: str) -> str:
    """Mix a colour, `#RRGGBB`, with as much white."""
    parts = (int(color[position : position + 2], 16) for position in (1, 3, 5))
    return "#" + "".join(f"{(part + 255) // 2:02X}" for part in parts)
