"""Pages to explore, made up: any number of runs and layers, hostile names, values of every kind."""

import math
from collections.abc import Sequence
from typing import Any

from vanishing.explorer.page import Page

HOSTILE = (
    "<script>document.title='attacked'</script>",
    "</script><img src=x onerror=\"document.title='attacked'\">",
    "\"quoted\" & 'single' #&= %20",
    "  ",
    "\u202eright to left",
    "a" * 200,
)


def make_page(names: Sequence[str], layers: int = 4, steps: Sequence[int] = (0, 10, 20)) -> Page:
    """Make a page on runs in whose gradients every later one vanishes faster.

    Args:
        names: Of the runs; of the first one values are also NaN, infinite, 0 and missing.
        layers: Of each run.
        steps: Recorded ones.

    Returns:
        The page.
    """
    runs = [_run(name, place, layers, steps) for place, name in enumerate(names)]
    for row in runs[0]["series"]["dz"]["values"]:
        row[:4] = [math.nan, math.inf, 0.0, None][:layers]
    return Page({"title": names[0], "findings": [f"Finding of {names[0]}"], "runs": runs})


def _run(name: str, place: int, layers: int, steps: Sequence[int]) -> dict[str, Any]:
    factor = 0.9 - 0.8 * place / (place + 5)
    gradients = [
        [0.1 * (step + 1) / 20 * factor ** (layers - layer) for layer in range(layers)]
        for step in steps
    ]
    ones = [[1.0 + place] * layers for _ in steps]
    histogram = [1, 0, 2, -3, 4, 5, 6]
    return {
        "name": name,
        "layers": [f"{name}.{layer}" for layer in range(layers)],
        "series": {
            "dz": {"steps": [*steps], "values": gradients},
            "activation": {"steps": [*steps], "values": ones},
        },
        "histograms": {"dz": {"steps": [*steps], "counts": [[histogram] * layers for _ in steps]}},
        "curves": {"batch_loss": {"steps": [*steps], "values": [2.0 / (s + 1) for s in steps]}},
        "epochs": [],
        "why": [],
        "verdict": f"verdict of {name}",
        "rules": {
            "vanishing_gradient": {
                "verdict": "problem",
                "mark": "warning",
                "reasons": [f"measured in {name}"],
            },
            "dead_relu": {"verdict": "fine", "mark": "fine", "reasons": ["0"]},
        },
    }
