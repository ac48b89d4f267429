"""Gradients that a loop reads by hand, beside those that a watch recorded."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from vanishing.judging.runs import load_run

Norms = dict[tuple[int, str], float]


def norms_of(model: nn.Module, step: int) -> Norms:
    """Read the norms of `.grad` by hand: {(step, parameter): norm}."""
    gradients: dict[str, Tensor | None] = {n: p.grad for n, p in model.named_parameters()}
    return {
        (step, name): float(gradient.double().square().sum().sqrt())
        for name, gradient in gradients.items()
        if gradient is not None
    }


def recorded_norms(folder: Path) -> Norms:
    """Return the norms of gradients that a watch recorded, likewise."""
    return {
        (
            row["step"],
            f"{row['layer']}.{row['tensor'].removesuffix('_gradient')}".lstrip("."),
        ): row["value"]
        for row in load_run(folder).gradients("l2_norm").to_dict("records")
    }


def check_norms(folder: Path, expected: Norms) -> None:
    """Check that a watch recorded these gradients, and no other."""
    assert recorded_norms(folder) == pytest.approx(expected, rel=1e-5)
