"""Names and steps of MLflow's metrics."""

import math

import pandas as pd
import pytest

from vanishing.results import tables
from vanishing.tracking import scalars
from vanishing.tracking.scalars import Scalar


def test_an_epoch_has_its_losses_and_accuracies_and_no_other_column() -> None:
    row = {"variant": "relu", "seed": 3, "epoch": 2, "step": 80, "train_loss": 0.5}
    row |= {"train_loss_end": 0.4}
    assert scalars.of_epoch(row) == [Scalar("train_loss", 0.5, 2)]


@pytest.mark.usefixtures("judged")
def test_the_attenuation_is_by_epoch_and_the_gradient_by_layer() -> None:
    layers = tables.read("layers", ["relu"], [0])
    metrics = scalars.of_layers(layers)
    steps = {
        name: [metric.step for metric in metrics if metric.name == name]
        for name in ("attenuation", "gradient_by_layer_init", "gradient_by_layer_trained")
    }
    assert steps == {
        "attenuation": [0, 1, 2],
        "gradient_by_layer_init": [0, 1, 2, 3],
        "gradient_by_layer_trained": [0, 1, 2, 3],
    }
    values = {(metric.name, metric.step): metric.value for metric in metrics}
    for name, epoch in (("gradient_by_layer_init", 0), ("gradient_by_layer_trained", 2)):
        by_layer = [values[name, layer] for layer in range(4)]
        # the last hidden layer is the one before the output
        assert by_layer[0] / by_layer[2] == pytest.approx(values["attenuation", epoch])
    other = layers.assign(seed=1, value=3 * layers["value"])
    means = scalars.of_layers(pd.concat([layers, other]))
    assert [metric.value for metric in means] == pytest.approx(
        [2 * metric.value for metric in metrics]
    )


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
    assert norms[0].name == "weight_gradient_00_hidden.0.linear"
    assert [norm.name for norm in norms] == sorted(norm.name for norm in norms)


def test_a_loss_that_a_journal_writes_as_text_is_a_number() -> None:
    assert scalars.of_loss(7, "-Infinity") == Scalar("train_loss_batch", -math.inf, 7)
    assert math.isnan(scalars.of_loss(7, "NaN").value)
    assert math.isnan(scalars.of_epoch({"epoch": 1, "test_loss": "NaN"})[0].value)


def test_the_alphabetical_order_of_the_names_is_the_order_of_the_charts() -> None:
    layer = {"step": 1, "layer_index": 0, "layer": "output", "value": 1.0}
    trace = [{**layer, "tensor": "weight_gradient", "statistic": "l2_norm"}]
    names = [
        scalars.ATTENUATION,
        scalars.BY_LAYER_INIT,
        scalars.BY_LAYER_TRAINED,
        scalars.TEST_ACCURACY,
        scalars.TEST_LOSS,
        scalars.TRAIN_ACCURACY,
        scalars.TRAIN_LOSS,
        scalars.of_loss(1, 0.5).name,
        scalars.of_trace(trace)[0].name,
    ]
    assert names == sorted(names)


def test_a_watched_training_has_the_names_of_the_studys_runs() -> None:
    row = {"layer_index": 3, "layer": "hidden.3.linear", "statistic": "l2_norm", "step": 10}
    rows = [
        {**row, "tensor": "weight_gradient", "value": 0.25},
        {**row, "tensor": "bias_gradient", "value": 1.0},
        {**row, "tensor": "weight", "value": 2.0},
        {**row, "tensor": "backpropagated_gradient", "value": 3.0},
        {**row, "tensor": "weight_gradient", "statistic": "rms", "value": 4.0},
    ]
    expected = [Scalar("weight_gradient_03_hidden.3.linear", 0.25, 10)]
    assert scalars.of_trace(rows, 5) == scalars.of_trace(rows) == expected


def test_weights_of_other_names_are_told_apart() -> None:
    row = {"layer_index": 1, "layer": "encoder", "statistic": "l2_norm", "step": 1, "value": 0.5}
    leaves = ("weight_ih_l0", "weight_hh_l0", "in_proj_weight", "bias_ih_l0")
    rows = [{**row, "tensor": f"{leaf}_gradient"} for leaf in leaves]
    assert [scalar.name for scalar in scalars.of_trace(rows, 2)] == [
        f"weight_gradient_01_encoder.{leaf}" for leaf in leaves[:3]
    ]
