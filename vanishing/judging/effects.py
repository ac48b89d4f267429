"""What the claims are judged by: a few lines of pandas each, from the Parquet files alone.

Every function takes `t`, {table: frame of all variants}, and returns one number per fresh
initialisation or per training seed, indexed by seed. The report shows this source as it stands, so
that a reader can run it: it uses nothing of this project.
"""

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]


def attenuation(t: Tables, variant: str) -> pd.Series:
    """Look up rms(dL/dz) of the first hidden layer over that of the last, fresh initialisations."""
    rows = t["initialisation"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    return rows.set_index("seed")["value"]


def hop(t: Tables, variant: str) -> pd.Series:
    """Spread the attenuation evenly over the hops: its root."""
    layers = t["initialisation"].query(f"variant == '{variant}'")["layer_index"]
    return attenuation(t, variant) ** (1 / (layers.max() - 1))


def imbalance(t: Tables, variant: str) -> pd.Series:
    """Give the distance of the attenuation from 1, up or down, in powers of ten."""
    return np.log10(attenuation(t, variant)).abs()


def saturation(t: Tables, variant: str) -> pd.Series:
    """Find the largest share of saturated z in a hidden layer, fresh initialisations."""
    rows = t["initialisation"].query(f"variant == '{variant}' and statistic == 'saturation'")
    return rows.groupby("seed")["value"].max()


def saturation_in_training(t: Tables, variant: str) -> pd.Series:
    """Find the same at the last snapshot."""
    rows = t["layers"].query(f"variant == '{variant}' and statistic == 'saturation'")
    return rows[rows["epoch"] == rows["epoch"].max()].groupby("seed")["value"].max()


def depth_line(x: pd.Series, y: pd.Series) -> tuple[float, float]:
    """Fit y = a + b·x by least squares; return b and R²."""
    slope = np.polyfit(x, y, 1)[0]
    return slope, np.corrcoef(x, y)[0, 1] ** 2


def depth_slope(t: Tables, variant: str) -> pd.Series:
    """Fit ln(attenuation) against depth over the sweep; give the slope."""
    rows = t["depths"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    lines = {s: depth_line(r["depth"], np.log(r["value"])) for s, r in rows.groupby("seed")}
    return pd.Series({seed: slope for seed, (slope, _) in lines.items()})


def depth_r_squared(t: Tables, variant: str) -> pd.Series:
    """Give R² of that fit."""
    rows = t["depths"].query(f"variant == '{variant}' and statistic == 'attenuation'")
    lines = {s: depth_line(r["depth"], np.log(r["value"])) for s, r in rows.groupby("seed")}
    return pd.Series({seed: r_squared for seed, (_, r_squared) in lines.items()})


def theory_slope(t: Tables, variant: str) -> float:
    """Fit the same line through theory's predictions at the sweep's depths."""
    depths = t["depths"].query(f"variant == '{variant}'")["depth"]
    rows = t["theory"].query(f"variant == '{variant}' and quantity == 'attenuation'")
    rows = rows[rows["depth"].isin(depths)]
    return depth_line(rows["depth"], np.log(rows["predicted"]))[0]


def drift(t: Tables, variant: str) -> pd.Series:
    """Average |change of ln std(z)| over hidden layers and neighbouring snapshots."""
    rows = t["layers"].query(
        f"variant == '{variant}' and tensor == 'preactivation' and statistic == 'std'"
    )
    rows = rows[rows["layer_index"] < rows["layer_index"].max()].sort_values("epoch")
    change = np.log(rows["value"]).groupby([rows["seed"], rows["layer_index"]]).diff().abs()
    return change.groupby(rows["seed"]).mean()


def scale_exponent(t: Tables, variant: str) -> pd.Series:
    """Fit ln rms(W) against ln(fan-in + fan-out) over the layers; give the slope."""
    fans = t["layers"].query(f"variant == '{variant}' and statistic in ['fan_in', 'fan_out']")
    first = fans[(fans["epoch"] == 0) & (fans["seed"] == fans["seed"].min())]
    fan = first.groupby("layer_index")["value"].sum()
    rows = t["initialisation"].query(
        f"variant == '{variant}' and tensor == 'weight' and statistic == 'rms'"
    )
    rms = rows.pivot_table(index="seed", columns="layer_index", values="value")
    return rms.apply(lambda r: np.polyfit(np.log(fan[r.index]), np.log(r), 1)[0], axis=1)


def at_the_end(t: Tables) -> pd.DataFrame:
    """Take the last epoch of every run, with its generalization gap."""
    last = t["history"].groupby(["seed", "variant"]).last()
    return last.assign(gap=last["test_loss"] - last["train_loss_end"])


def steps_to(t: Tables, loss: float) -> pd.Series:
    """Count the steps until the mean loss of 100 batches is at most `loss`; all where it never is.

    Returns:
        The counts, indexed by seed and variant.
    """
    losses = t["losses"].sort_values("step")
    runs = losses.groupby(["seed", "variant"])
    mean = runs["loss"].transform(lambda x: x.rolling(100).mean())
    reached = losses[mean <= loss].groupby(["seed", "variant"])["step"].min()
    return reached.reindex(runs.size().index).fillna(runs["step"].max())


def vanishes(t: Tables, runs: pd.Series) -> pd.Series:
    """Tell which runs are of a variant whose attenuation is below 0.01, fresh initialisations."""
    rows = t["initialisation"].query("statistic == 'attenuation'")
    small = np.log(rows["value"]).groupby(rows["variant"]).mean() < np.log(0.01)
    return small[runs.index.get_level_values("variant")].set_axis(runs.index)


def vanishing(t: Tables, runs: pd.Series) -> pd.Series:
    """Take the median of runs, by seed, over the variants that vanish."""
    return runs[vanishes(t, runs)].groupby("seed").median()


def steady(t: Tables, runs: pd.Series) -> pd.Series:
    """Take the median of runs, by seed, over the variants that do not."""
    return runs[~vanishes(t, runs)].groupby("seed").median()


def small_share(t: Tables) -> pd.Series:
    """Find the share of dL/dW between -0.02 and 0.02 at initialisation, by seed and variant."""
    rows = t["histograms"].query("tensor == 'weight_gradient' and scale == 'linear' and epoch == 0")
    small = rows[rows["bin_left"].between(-0.02, 0) & rows["bin_right"].between(0, 0.02)]
    keys = ["seed", "variant"]
    return small.groupby(keys)["count"].sum() / rows.groupby(keys)["count"].sum()


def of(runs: pd.Series, variant: str) -> pd.Series:
    """Take one variant's runs."""
    return runs.xs(variant, level="variant")


def displacement_ratio(t: Tables, variant: str) -> pd.Series:
    """Divide ‖W - W_0‖ / ‖W_0‖ of the first layer by the last hidden one's, last snapshot."""
    rows = t["layers"].query(f"variant == '{variant}' and statistic == 'displacement'")
    last = rows[rows["epoch"] == rows["epoch"].max()]
    wide = last.pivot_table(index="seed", columns="layer_index", values="value")
    return wide[0] / wide[wide.columns.max() - 1]
