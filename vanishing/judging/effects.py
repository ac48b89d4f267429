"""The functions that the claims' effects are made of: a few lines of pandas each.

`t` is {table: frame of all variants}, as the Parquet files have them. A function of `t` and a
variant returns a number per fresh initialisation or per training seed, indexed by seed. A function
of `t` alone returns a number per training run, indexed by seed and variant. The report shows this
file as it stands, so that a reader can run it: it imports nothing of this project.
"""

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]


def attenuation(t: Tables, variant: str) -> pd.Series:
    """Return rms(dL/dz) of the first hidden layer over that of the last, fresh initialisations."""
    rows = t["initialisation"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    return rows.set_index("seed")["value"]


def hop(t: Tables, variant: str) -> pd.Series:
    """Return the factor per hop: attenuation^(1 / (depth - 1)); 1 where the depth is 1."""
    layers = t["initialisation"].query(f"variant == '{variant}'")["layer_index"]
    return attenuation(t, variant) ** (1 / (layers.max() - 1))


def imbalance(t: Tables, variant: str) -> pd.Series:
    """Return |log10(attenuation)|, its distance from 1 in powers of ten."""
    return np.log10(attenuation(t, variant)).abs()


def saturation(t: Tables, variant: str) -> pd.Series:
    """Return the largest share of saturated z in a hidden layer, fresh initialisations."""
    rows = t["initialisation"].query(f"variant == '{variant}' and statistic == 'saturation'")
    return rows.groupby("seed")["value"].max()


def saturation_in_training(t: Tables, variant: str) -> pd.Series:
    """Return the largest share of saturated z in a hidden layer, last snapshot."""
    rows = t["layers"].query(f"variant == '{variant}' and statistic == 'saturation'")
    return rows[rows["epoch"] == rows["epoch"].max()].groupby("seed")["value"].max()


def fit_line(x: pd.Series, y: pd.Series) -> tuple[float, float]:
    """Fit y = a + b·x by least squares; return b and R²."""
    slope = np.polyfit(x, y, 1)[0]
    return slope, np.corrcoef(x, y)[0, 1] ** 2


def depth_fits(t: Tables, variant: str) -> pd.DataFrame:
    """Fit ln(attenuation) against depth over the sweep; return slope and R² by seed."""
    rows = t["depths"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    fits = {s: fit_line(r["depth"], np.log(r["value"])) for s, r in rows.groupby("seed")}
    return pd.DataFrame.from_dict(fits, orient="index", columns=["slope", "r_squared"])


def depth_factor(t: Tables, variant: str) -> pd.Series:
    """Return the factor per hidden layer: exp(slope) of ln(attenuation) against depth."""
    return depth_fits(t, variant)["slope"].map(np.exp)


def depth_r_squared(t: Tables, variant: str) -> pd.Series:
    """Return R² of the line through ln(attenuation) against depth."""
    return depth_fits(t, variant)["r_squared"]


def theory_slope(t: Tables, variant: str) -> float:
    """Return the slope of the same line through theory's attenuations at the sweep's depths."""
    depths = t["depths"].query(f"variant == '{variant}'")["depth"]
    rows = t["theory"].query(f"variant == '{variant}' and quantity == 'attenuation'")
    rows = rows[rows["depth"].isin(depths)]
    return fit_line(rows["depth"], np.log(rows["predicted"]))[0]


def slope_error(t: Tables, variant: str) -> pd.Series:
    """Return |slope / theory's slope - 1|, both of ln(attenuation) against depth."""
    return (depth_fits(t, variant)["slope"] / theory_slope(t, variant) - 1).abs()


def drift(t: Tables, variant: str) -> pd.Series:
    """Return the mean |change of ln std(z)| over hidden layers and neighbouring snapshots."""
    rows = t["layers"].query(
        f"variant == '{variant}' and tensor == 'preactivation' and statistic == 'std'"
    )
    rows = rows[rows["layer_index"] < rows["layer_index"].max()].sort_values("epoch")
    change = np.log(rows["value"]).groupby([rows["seed"], rows["layer_index"]]).diff().abs()
    return change.groupby(rows["seed"]).mean()


def scale_exponent(t: Tables, variant: str) -> pd.Series:
    """Return the slope of ln rms(W) against ln(fan-in + fan-out) over the layers."""
    fans = t["layers"].query(f"variant == '{variant}' and statistic in ['fan_in', 'fan_out']")
    first = fans[(fans["epoch"] == 0) & (fans["seed"] == fans["seed"].min())]
    fan = first.groupby("layer_index")["value"].sum()
    rows = t["initialisation"].query(
        f"variant == '{variant}' and tensor == 'weight' and statistic == 'rms'"
    )
    rms = rows.pivot_table(index="seed", columns="layer_index", values="value")
    return rms.apply(lambda r: np.polyfit(np.log(fan[r.index]), np.log(r), 1)[0], axis=1)


def displacement_ratio(t: Tables, variant: str) -> pd.Series:
    """Return ‖W - W_0‖ / ‖W_0‖ of the first layer over the last hidden one's, last snapshot."""
    rows = t["layers"].query(f"variant == '{variant}' and statistic == 'displacement'")
    last = rows[rows["epoch"] == rows["epoch"].max()]
    wide = last.pivot_table(index="seed", columns="layer_index", values="value")
    return wide[0] / wide[wide.columns.max() - 1]


def final_accuracies(t: Tables) -> pd.Series:
    """Return the test accuracy of every run at the end."""
    return t["history"].groupby(["seed", "variant"])["test_accuracy"].last()


def final_accuracy(t: Tables, variant: str) -> pd.Series:
    """Return the test accuracy at the end."""
    return select_variant(final_accuracies(t), variant)


def generalization_gaps(t: Tables) -> pd.Series:
    """Return test loss minus training loss of every run's final weights, in nats.

    Returns:
        The gaps; where a loss is NaN at the end, of its last value that is not.
    """
    last = t["history"].groupby(["seed", "variant"]).last()
    return last["test_loss"] - last["train_loss_end"]


def steps_to_half_loss(t: Tables) -> pd.Series:
    """Count every run's steps until the mean loss of 100 batches is at most half of ln 10.

    ln 10 is the loss, in nats, of guessing among ten classes.

    Returns:
        The counts; all steps of a run where that is never so.
    """
    losses = t["losses"].sort_values("step")
    runs = losses.groupby(["seed", "variant"])
    mean = runs["loss"].transform(lambda x: x.rolling(100).mean())
    reached = losses[mean <= np.log(10) / 2].groupby(["seed", "variant"])["step"].min()
    return reached.reindex(runs.size().index).fillna(runs["step"].max())


def small_shares(t: Tables) -> pd.Series:
    """Return the share of every run's dL/dW between -0.02 and 0.02 at initialisation."""
    rows = t["histograms"].query("tensor == 'weight_gradient' and scale == 'linear' and epoch == 0")
    small = rows[rows["bin_left"].between(-0.02, 0) & rows["bin_right"].between(0, 0.02)]
    keys = ["seed", "variant"]
    return small.groupby(keys)["count"].sum() / rows.groupby(keys)["count"].sum()


def small_share(t: Tables, variant: str) -> pd.Series:
    """Return the share of dL/dW between -0.02 and 0.02 at initialisation."""
    return select_variant(small_shares(t), variant)


def select_variant(runs: pd.Series, variant: str) -> pd.Series:
    """Return one variant's values of a series indexed by seed and variant."""
    return runs.xs(variant, level="variant")


def vanishes(t: Tables, runs: pd.Series) -> pd.Series:
    """Tell which runs are of a variant whose attenuation, geometric mean, is below 0.01.

    Returns:
        Their truth; False of a network without hidden layers, which has no attenuation.
    """
    rows = t["initialisation"].query("statistic == 'attenuation'")
    small = np.log(rows["value"]).groupby(rows["variant"]).mean() < np.log(0.01)
    variants = runs.index.get_level_values("variant")
    return small.reindex(variants, fill_value=False).set_axis(runs.index)


def median_of_vanishing(t: Tables, runs: pd.Series) -> pd.Series:
    """Return the median by seed over the variants whose gradient vanishes."""
    return runs[vanishes(t, runs)].groupby("seed").median()


def median_of_steady(t: Tables, runs: pd.Series) -> pd.Series:
    """Return the median by seed over the other variants."""
    return runs[~vanishes(t, runs)].groupby("seed").median()
