"""Names and steps of MLflow's metrics."""

import math

from vanishing.tracking import scalars
from vanishing.tracking.scalars import Scalar


def test_an_epoch_has_its_losses_and_accuracies_and_no_other_column() -> None:
    row = {"variant": "relu", "seed": 3, "epoch": 2, "step": 80, "train_loss": 0.5}
    assert scalars.of_epoch(row) == [Scalar("train_loss", 0.5, 2)]


def test_gradient_norms_are_named_in_the_order_of_the_layers() -> None:
    layers = [f"hidden.{index}.linear" for index in range(10)] + ["output"]
    rows = [
        {
            "step": 10,
            "layer_index": index,
            "layer": layer,
            "tensor": tensor,
            "statistic": statistic,
            "value": index,
        }
        for index, layer in enumerate(layers)
        for tensor, statistic in (("weight", "l2_norm"), ("weight_gradient", "l2_norm"))
    ]
    norms = scalars.of_trace(rows)
    assert [norm.value for norm in norms] == list(range(11))
    assert {norm.step for norm in norms} == {10}
    assert norms[0].name == "gradient/00-hidden.0.linear"
    assert [norm.name for norm in norms] == sorted(norm.name for norm in norms)


def test_a_loss_that_a_journal_writes_as_text_is_a_number() -> None:
    assert scalars.of_loss(7, "-Infinity") == Scalar("loss", -math.inf, 7)
    assert math.isnan(scalars.of_loss(7, "NaN").value)
    assert math.isnan(scalars.of_epoch({"epoch": 1, "test_loss": "NaN"})[0].value)
