"""The figure and the lines of the gradient through time of watched trainings."""

import pandas as pd
import pytest

from tests.support import drawings
from vanishing.judging.runs import Run
from vanishing.reporting import through_time

TENSORS = ("hidden_gradient_l0", "cell_gradient_l0", "hidden_gradient_l0_reverse")


def run(
    layers: tuple[str, ...] = ("lstm",), tensors: tuple[str, ...] = TENSORS, steps: int = 2
) -> Run:
    """Make a run in which the gradient falls tenfold per time step, a hundredfold at the end."""
    rows = [
        (step, layer if t == 1 else f"{layer}#{t}", tensor, "rms", (10.0**step) ** (t - 3))
        for step in range(1, steps + 1)
        for layer in layers
        for tensor in tensors
        for t in range(1, 4)
    ]
    columns = ["step", "layer", "tensor", "statistic", "value"]
    return Run("run", {"trace": pd.DataFrame(rows, columns=columns)})


def test_each_state_has_a_panel_with_the_first_and_the_last_traced_step() -> None:
    figure = through_time.draw({"runs/mine": run()})
    assert drawings.titles(figure) == [
        "lstm, layer 0: dL/dh",
        "lstm, layer 0: dL/dc",
        "lstm, layer 0, reverse: dL/dh",
    ]
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        drawn = drawings.lines(axes)
        assert drawn.keys() == {"first traced step", "last traced step"}
        for moment, ratio in (("first", 0.1), ("last", 0.01)):
            times, values = zip(*drawn[f"{moment} traced step"], strict=True)
            assert times == (1, 2, 3)
            assert values == pytest.approx((ratio**2, ratio, 1))
    assert drawings.legend(figure) == ["first traced step", "last traced step"]
    assert "time step" in figure.get_supxlabel()
    assert "rms" in figure.get_supylabel()


def test_a_single_traced_step_is_drawn_once() -> None:
    figure = through_time.draw({"mine": run(steps=1)})
    assert drawings.legend(figure) == ["first traced step"]


def test_several_runs_are_told_apart_and_those_without_states_have_no_panel() -> None:
    plain = run(tensors=("weight_gradient",))
    runs = {"a": run(tensors=TENSORS[:1]), "plain": plain, "b": run(tensors=TENSORS[:1])}
    assert drawings.titles(through_time.draw(runs)) == [
        "a: lstm, layer 0: dL/dh",
        "b: lstm, layer 0: dL/dh",
    ]
    assert through_time.is_recorded(runs.values())
    assert not through_time.is_recorded([plain])


def test_of_many_panels_the_first_and_the_last_are_drawn_and_the_figure_says_so() -> None:
    layers = tuple(
        f"encoder.layers.{index}.mixer.recurrence.with.a.long.name" for index in range(30)
    )
    figure = through_time.draw({"mine": run(layers, TENSORS[:1])})
    titles = drawings.titles(figure)
    assert len(set(titles)) == 24
    assert titles[0].startswith("encoder.layers.0.mixe…")
    assert titles[-1].startswith("encoder.layers.29.mix…")
    assert titles[0].endswith("g.name, layer 0: dL/dh")
    assert figure.get_supxlabel().endswith("24 of 30 panels")


def test_a_line_says_how_much_of_the_gradient_reaches_the_first_state() -> None:
    forward, _, backward = through_time.describe(run())
    assert forward == (
        "Through time, rms of lstm hidden_gradient_l0 at t = 1 over that at t = 3: 1.00e-02 at the"
        " first traced step, 1.00e-04 at the last."
    )
    assert "hidden_gradient_l0_reverse at t = 3 over that at t = 1: 1.00e+02 at" in backward


def test_of_many_states_the_furthest_from_1_are_named() -> None:
    states = run(("a", "b", "c"), TENSORS[:2])
    trace = states.tables["trace"]
    trace.loc[trace["layer"].str.startswith("b"), "value"] **= 2
    trace.loc[trace["layer"] == "c#3", "value"] = 0.0  # infinite: the loss does not depend on it
    lines = through_time.describe(states)
    assert [line.split()[4] for line in lines[:-1]] == ["a", "a", "b", "b"]
    assert lines[-1] == "Of 6 states, these are the 4 furthest from 1."
    assert not through_time.describe(run(tensors=("weight_gradient",)))
