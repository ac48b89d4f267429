"""The health rules on the tables of a watched training, whatever the network.

They are those of `judging.health`, with its thresholds, on what a watch records: batches of the
training in place of a probe, traced steps in place of snapshots. What needs records that only a
study has (test losses and accuracies, values of the weights) does not apply.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanishing.files import read_json
from vanishing.judging.checks import Check, judge_rule
from vanishing.judging.health import longest_stall
from vanishing.judging.kinds import in_order
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import PROBLEM, Row, by_kind
from vanishing.params import diagnose
from vanishing.results.tables import select
from vanishing.results.watched import read_run, record_path

TABLES = ("trace", "losses", "steps", "units", "parameters", "factors")

_LEAST = 1e-300  # stands for 0, which has no logarithm
_NO_PATH = ("frozen", "detached", "unused")  # of `parameters.gradient`
OF_MODULES = ("preactivation", "activation", "backpropagated_gradient", "stream_gradient")

Checks = Iterator[Check]


class Run(NamedTuple):
    """A training, as a watch records it.

    Attributes:
        name: Of its folder, or of its variant.
        tables: {a name of TABLES: frame}, as `read_run` returns them. Some may be missing.
        record: The content of run.json; empty where there is none.
        classes: Of a training whose loss is known to be the mean cross-entropy; None where outputs
            tell what the loss is, and of how many classes.
        epoch_steps: Losses of the last epoch; None where there are no epochs.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    record: Mapping[str, Any] = MappingProxyType({})
    classes: int | None = None
    epoch_steps: int | None = None

    def until(self, step: int) -> "Run":
        """Return what there was after a step.

        The loss of the step itself is left out: a loop may tell it before the step or after it.
        """
        tables = {name: rows[rows["step"] <= step] for name, rows in self.tables.items()}
        tables["losses"] = tables["losses"][tables["losses"]["step"] < step]
        return self._replace(tables=tables)

    @property
    def parameters(self) -> Sequence[Mapping[str, Any]]:
        """The parameters, as run.json has them; none where there is no record."""
        parameters: Sequence[Mapping[str, Any]] = self.record.get("parameters", ())
        return parameters

    def gradients(self, statistic: str) -> pd.DataFrame:
        """Return a statistic of the parameters' gradients, by layer and step.

        A gradient of zeros to which no path leads from the loss is none.
        """
        trace = self.tables["trace"]
        of_parameters = trace["tensor"].str.endswith("_gradient")
        of_parameters &= ~trace["tensor"].isin(OF_MODULES)
        return self._with_path(trace[of_parameters & (trace["statistic"] == statistic)])

    def update_ratios(self) -> pd.DataFrame:
        """Return ‖update‖ / ‖values before it‖ of the parameters, by layer and step."""
        trace = self.tables["trace"]
        return self._with_path(trace[trace["statistic"] == "ratio"])

    def shares_of_zeros(self) -> pd.DataFrame:
        """Return the share of elements that are 0, by tensor, layer and step."""
        trace = self.tables["trace"]
        return self._with_path(trace[trace["statistic"] == "fraction_zero"])

    def without_gradient(self) -> pd.DataFrame:
        """Return the layers of which no parameter gets a gradient at the first traced step.

        Returns:
            Columns layer and gradient (frozen, detached, unused or absent, as in the table
            `parameters`; of several the first), in the order of definition.
        """
        rows = self._first_states()
        gets_none = rows["gradient"].isin([*_NO_PATH, "absent"]).groupby(rows["layer"]).all()
        layers = rows[rows["layer"].map(gets_none).astype(bool)].drop_duplicates("layer")
        without: pd.DataFrame = layers.sort_values("layer_index")[["layer", "gradient"]]
        return without.reset_index(drop=True)

    def count_layers(self) -> int:
        """Return how many layers the optimizers hold, and how many are frozen beside them."""
        return int(self._first_states()["layer"].nunique())

    def _first_states(self) -> pd.DataFrame:
        """Return layer_index, layer and gradient of each parameter at the first traced step."""
        states = self.tables.get("parameters", pd.DataFrame(columns=["optimizer", "step"]))
        first = states["step"] == states.groupby("optimizer")["step"].transform("min")
        columns = ["layer_index", "layer", "gradient"]
        frozen = [
            (parameter["layer_index"], parameter["layer"], "frozen")
            for parameter in self.parameters
            if parameter["frozen"] and parameter["recorded"] and parameter["optimizer"] is None
        ]
        frame = pd.DataFrame(frozen, columns=columns)
        return pd.concat([states[first].reindex(columns=columns), frame])

    def _with_path(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows of the trace without those of parameters that no path from the loss reaches.

        They are in the trace where somebody set `grad` to zeros.
        """
        states = self.tables.get("parameters")
        if states is None or not len(states):
            return rows
        without = states[states["gradient"].isin(_NO_PATH)]
        keys = set(zip(without["step"], without["layer"], without["parameter"], strict=True))
        names = rows["tensor"].str.replace("_(?:gradient|update)$", "", regex=True)
        names = names.replace({"update": "weight"})
        has_path = [key not in keys for key in zip(rows["step"], rows["layer"], names, strict=True)]
        return rows[has_path]

    def attenuation(self, at_end: bool = False) -> pd.DataFrame:
        """Return rms(dL/dz) over that of the last layer, at the first or the last traced step.

        Of the first call of each module in the order of the forward pass, without the last.
        """
        rms = self.in_order("backpropagated_gradient", at_end)
        rms = rms[~rms["layer"].str.contains("#")]
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = rms["value"] / rms["value"].iloc[-1:].sum()
        attenuation: pd.DataFrame = rms.assign(value=relative)[:-1]
        return attenuation

    def in_order(self, tensor: str, at_end: bool = False) -> pd.DataFrame:
        """Return the rms of a tensor of modules at the first or the last step that has it.

        Returns:
            Rows of the trace with `position`, in the order of the forward pass.
        """
        trace = self.tables["trace"]
        rms = select(trace, tensor, "rms")
        rms = rms[rms["step"] == (rms["step"].max() if at_end else rms["step"].min())]
        positions = select(trace, tensor, "position").rename(columns={"value": "position"})
        keys = ["step", "layer"]
        rows: pd.DataFrame = rms.merge(positions[[*keys, "position"]], on=keys, how="left")
        return rows.sort_values(["position", "layer_index"], kind="stable")

    def furthest_attenuation(self, at_end: bool = False) -> float:
        """Return the attenuation that is furthest from 1; NaN where dL/dz was not recorded."""
        values = self.attenuation(at_end)["value"].dropna()
        with np.errstate(divide="ignore"):
            distances = np.abs(np.log10(values.to_numpy()))
        return float(values.iloc[int(distances.argmax())]) if len(values) else math.nan


def load_run(folder: Path) -> Run:
    """Read a run, with the errors of `read_run`."""
    tables = {table: read_run(folder, table) for table in TABLES}
    return Run(folder.resolve().name, tables, read_json(record_path(folder)))


def examine(run: Run, thresholds: diagnose.Debugger) -> list[Row]:
    """Apply rules to a run.

    Args:
        run: The run.
        thresholds: By rule; a rule that has none is not applied.

    Returns:
        Rows as of `health.examine`, with the run's name as `variant`.
    """
    rows = []
    for rule in in_order(type(thresholds).model_fields):
        make_checks = RULES.get(rule)
        checks = make_checks(run, getattr(thresholds, rule)) if make_checks else ()
        applying = (check for check in checks if len(check.candidates))
        rows += [{"variant": run.name, **row} for row in judge_rule(rule, applying)]
    return rows


def problems(rows: list[Row]) -> list[Row]:
    """Return the rows that are problems, by kind, and then the furthest beyond its threshold."""
    grave = [row for row in rows if row["verdict"] == PROBLEM]
    return by_kind(sorted(grave, key=_excess, reverse=True))


def _excess(row: Row) -> float:
    """Return by how many powers of ten a number is beyond its threshold; 0 and infinity are far."""
    measured, threshold = (
        math.log10(min(max(abs(row[key]), _LEAST), 1 / _LEAST)) for key in ("measured", "threshold")
    )
    return abs(measured - threshold)


def _vanishing_gradient(run: Run, rule: diagnose.VanishingGradient) -> Checks:
    means = run.gradients("mean_abs")
    weights = means[means["tensor"].str.startswith("weight")]
    yield Check("mean |dL/dW|", weights, Limit("<", rule.mean_abs_below))


def _vanishing_attenuation(run: Run, rule: diagnose.VanishingAttenuation) -> Checks:
    yield Check("attenuation", run.attenuation(), Limit("<", rule.below))


def _exploding_attenuation(run: Run, rule: diagnose.ExplodingAttenuation) -> Checks:
    yield Check("attenuation", run.attenuation(), Limit(">", rule.above))


def _exploding_tensor(run: Run, rule: diagnose.ExplodingTensor) -> Checks:
    trace = run.tables["trace"]
    shares = trace[trace["statistic"] == "fraction_nonfinite"]
    limit = Limit(">", rule.nonfinite_above)
    yield Check("share of NaN and infinity", shares, limit, name_tensor=True)


def _nonfinite_loss(run: Run, rule: diagnose.NonfiniteLoss) -> Checks:
    losses = run.tables["losses"]
    if len(losses):
        count = float((~np.isfinite(losses["loss"])).sum())
        counts = pd.DataFrame({"value": [count]})
        yield Check("steps with a loss that is not finite", counts, Limit(">", rule.count_above))


def _poor_initialisation(run: Run, rule: diagnose.PoorInitialisation) -> Checks:
    losses = run.tables["losses"]
    first = losses[losses["step"] <= rule.first_steps]
    if len(first):
        stall = pd.DataFrame({"value": [float(longest_stall(first["loss"]))]})
        yield Check(
            f"consecutive steps without a new lowest loss, of the first {rule.first_steps}",
            stall,
            Limit(">=", rule.stalled_from),
        )


def _saturated_activation(run: Run, rule: diagnose.SaturatedActivation) -> Checks:
    units = run.tables["units"]
    # An activation that is exactly 0 for some examples is flat there by design.
    flat_at_zero = units.groupby("layer")["fraction_active"].transform("min") < 1
    yield Check(
        f"share of units flat for more than {rule.unit_above:.0%} of the examples",
        _share_of_units(units[~flat_at_zero], "fraction_flat", Limit(">", rule.unit_above)),
        Limit(">", rule.layer_above),
    )


def _dead_relu(run: Run, rule: diagnose.DeadRelu) -> Checks:
    units = run.tables["units"]
    yield Check(
        f"share of units active for less than {rule.unit_below:.0%} of the examples",
        _share_of_units(units, "fraction_active", Limit("<", rule.unit_below)),
        Limit(">", rule.layer_above),
    )


def _share_of_units(units: pd.DataFrame, share: str, limit: Limit) -> pd.DataFrame:
    """Return the share of a layer's units that are on the limit's side, by step."""
    counted = units.assign(value=[float(limit.holds(value)) for value in units[share]])
    keys = ["step", "layer_index", "layer"]
    return counted.groupby(keys)["value"].mean().reset_index()


def _update_ratio(run: Run, rule: diagnose.UpdateRatio) -> Checks:
    quantity = "size of a step over size of the values"
    ratios = run.update_ratios()
    ratios = ratios[np.isfinite(ratios["value"])]  # infinite where zeros are updated
    yield Check(quantity, ratios, Limit(">", rule.above))
    yield Check(quantity, ratios, Limit("<", rule.below))


def _all_zero(run: Run, rule: diagnose.AllZero) -> Checks:
    shares = run.shares_of_zeros()
    yield Check("share of zeros", shares, Limit(">=", rule.share_from), name_tensor=True)


def _unchanged_tensor(run: Run, rule: diagnose.UnchangedTensor) -> Checks:
    ratios = run.update_ratios().sort_values("step", kind="stable")
    by_tensor = ratios.groupby(["layer", "tensor"], sort=False)["value"]
    largest = by_tensor.transform(lambda values: values.rolling(rule.steps).max())
    yield Check(
        f"size of a step over size of the values, the largest of {rule.steps} consecutive"
        " traced steps",
        ratios.assign(value=largest),
        Limit("<", rule.ratio_below),
    )


def _loss_not_decreasing(run: Run, rule: diagnose.LossNotDecreasing) -> Checks:
    losses = run.tables["losses"].sort_values("step")
    count = len(losses) // 10  # a tenth at each end: single losses are noise
    if count:
        start, end = losses["loss"][:count].mean(), losses["loss"][-count:].mean()
        steps = losses["step"][-count:].mean() - losses["step"][:count].mean()
        fall = pd.DataFrame({"value": [1 - (end / start) ** (rule.steps / steps)]})
        yield Check(
            f"fall of the loss in {rule.steps} steps, the mean over training",
            fall,
            Limit("<", rule.share_below),
        )


RULES: dict[str, Callable[[Run, Any], Checks]] = {
    "vanishing_gradient": _vanishing_gradient,
    "vanishing_attenuation": _vanishing_attenuation,
    "exploding_attenuation": _exploding_attenuation,
    "exploding_tensor": _exploding_tensor,
    "nonfinite_loss": _nonfinite_loss,
    "poor_initialisation": _poor_initialisation,
    "saturated_activation": _saturated_activation,
    "dead_relu": _dead_relu,
    "update_ratio": _update_ratio,
    "all_zero": _all_zero,
    "unchanged_tensor": _unchanged_tensor,
    "loss_not_decreasing": _loss_not_decreasing,
}
