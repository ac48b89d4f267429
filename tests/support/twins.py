"""Gradients that a loop reads by hand, beside those that a watch recorded."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from vanishing import read_run

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
    trace = read_run(folder, "trace").query("statistic == 'l2_norm'")
    is_of_parameter = trace["tensor"].str.fullmatch("(weight|bias)_gradient")
    return {
        (row["step"], f"{row['layer']}.{row['tensor'].removesuffix('_gradient')}"): row["value"]
        for row in trace[is_of_parameter].to_dict("records")
    }


def check_norms(folder: Path, expected: Norms) -> None:
    """Check that a watch recorded these gradients, and no other."""
    assert recorded_norms(folder) == pytest.approx(expected, rel=1e-5)
