"""The table of factors in words: the answer in one sentence, a table for people, means over seeds.

The columns are those of `results.factors.FACTORS`. A decade is a factor of ten.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from vanishing.errors import StudyError
from vanishing.results import factors
from vanishing.results.factors import ACTIVATION, JOIN, PATH, WEIGHTS

_EXACTLY_TOLD = 1.0  # decades; of less the sentence has two digits
_OUTLIER = 0.5  # decades from the median of its kind
_FEWEST = 3  # factors of a kind, for one to be an outlier
_UNIFORM = 1.5  # the largest σw² over the smallest, up to which they are one number
_MOST_PARTS = 4  # of the sentence; the rest together
_MOST_ROWS = 60  # of the text; of more the factors within paths are left out
_NAMES = {
    factors.WEIGHTS: "the weights",
    factors.NORMALISATION: "the normalisation",
    factors.JOIN: "the joins",
    factors.ATTENTION: "attention",
    factors.RECURRENT: "the recurrent layers",
    factors.PRODUCT: "products of values",
    factors.SCALING: "multiplications",
    factors.POOLING: "pooling",
    factors.SELECTION: "selecting parts",
    factors.DROPOUT: "dropout",
    factors.LOSS: "the loss",
    factors.OTHER: "other operations",
}
_EVENTS = {
    factors.BECOMES_ZERO: "The gradient becomes 0",
    factors.BECOMES_NOT_FINITE: "The gradient becomes NaN or infinite",
}
_STARTS = {
    factors.ZERO: "The gradient is 0 at the network's output already: the loss is flat there.",
    factors.NOT_FINITE: "The gradient is NaN or infinite at the network's output already.",
}


def chain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose gains multiply to the attenuation."""
    return table[table["within"] == 0]


def attenuation(table: pd.DataFrame) -> float:
    """Return rms(dL/d input) / rms(dL/d output); NaN without rows, and of 0/0."""
    rows = chain(table)
    if rows.empty:
        return math.nan
    # Means over seeds have decades alone. A gradient that becomes 0 has none after that.
    decades = rows["decades"].to_numpy()
    if (decades == -math.inf).any() and not np.isnan(rows["rms_output"].iloc[0]):
        return 0.0 if np.isfinite(rows["rms_output"].iloc[0]) else math.nan
    return float(10 ** decades.sum())


def describe(table: pd.DataFrame) -> str:
    """Say in one sentence how many decades are lost or gained, and in which kinds of factors.

    The numbers are rounded such that they add up. A factor half a decade from the median of its
    kind is named, with its ratio to that median. Where a gradient becomes 0 or NaN, the sentence
    says where.

    Args:
        table: The factors.

    Returns:
        The sentence.
    """
    rows = chain(table)
    if rows.empty:
        return "There is no factor: the network's output is its input."
    if (start := rows["note"].iloc[0]) in _STARTS:
        return _STARTS[start]
    hops = rows["hop"].nunique()
    over = f"over {hops} hop{'s' if hops > 1 else ''}"
    events = rows[rows["note"].isin(_EVENTS)]
    if len(events):
        row = events.iloc[0]
        where = f"{_factor(row)} of {_place(row['layer'])}"
        return f"{_EVENTS[row['note']]} in the {where}, in hop {row['hop']} of {hops}."
    total = float(rows["decades"].sum())
    digits = 1 if round(abs(total), 2) >= _EXACTLY_TOLD else 2
    kinds = [kind if kind != ACTIVATION else f"{name.lower()}" for kind, name in _names(rows)]
    parts = rows.groupby(np.array(kinds), sort=False)["decades"].sum()
    parts = parts.sort_values(key=abs, ascending=False, kind="stable")
    rounded = _round(parts.tolist(), total, digits)
    texts = [
        (value, f"{_part(name, rows[np.array(kinds) == name], table)}")
        for name, value in zip(parts.index, rounded, strict=True)
        if value
    ]
    rest = sum(value for value, _ in texts[_MOST_PARTS:])
    texts = texts[:_MOST_PARTS] + ([(rest, "all other operations")] if round(rest, digits) else [])
    whole = round(total, digits)
    words = [_amount(value, text, whole, digits) for value, text in texts]
    answer = f"{abs(whole):.{digits}f} decades {_verb(whole)}" if whole else "Nothing is lost"
    return f"{answer} {over}" + (f": {', '.join(words)}." if words else ".")


def describe_each(table: pd.DataFrame, moment: str) -> list[tuple[int, str]]:
    """Say the same of each moment at which a network was explained.

    Args:
        table: The factors of one training.
        moment: A column: `epoch` or `step`.

    Returns:
        The moments in their order, each with its sentence.
    """
    moments = sorted({int(value) for value in table[moment]})
    return [(value, describe(table[table[moment] == value])) for value in moments]


def _names(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["kind"], rows["operation"], strict=True))


def _factor(row: "pd.Series[Any]") -> str:
    """Name a factor: its kind, and of which operation."""
    if row["kind"] in {WEIGHTS, JOIN}:
        return str(row["kind"])
    return f"{row['kind']} {row['operation']}"


def _place(layer: object) -> str:
    return f"`{layer}`" if layer else "the model itself"


def _verb(decades: float) -> str:
    return "lost" if decades < 0 else "gained"


def _amount(value: float, text: str, total: float, digits: int) -> str:
    """Say how much a part loses or gains, with the verb where it is not the whole's."""
    verb = "" if total and (value < 0) == (total < 0) else f" {_verb(value)}"
    return f"{abs(value):.{digits}f}{verb} in {text}"


def _round(parts: Sequence[float], total: float, digits: int) -> list[float]:
    """Round numbers such that they add up to their rounded sum."""
    scale = 10**digits
    scaled = [part * scale for part in parts]
    floors = [math.floor(part) for part in scaled]
    missing = round(total * scale) - sum(floors)
    largest = sorted(range(len(parts)), key=lambda i: floors[i] - scaled[i])
    for place in largest[: max(0, missing)]:
        floors[place] += 1
    return [floor / scale for floor in floors]


def _part(name: str, rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Name a part of the sentence, and what is to be said of it in brackets."""
    kind = rows["kind"].iloc[0]
    text = f"the {name}" if kind == ACTIVATION else _NAMES[str(kind)]
    if kind == ACTIVATION and len(bounds := rows["bound"].dropna()):
        detail = f"|φ'| ≤ {_fraction(bounds.max())}"
    elif kind == WEIGHTS:
        detail = _spread_of_weights(rows["theory"].dropna() ** 2)
    elif kind == JOIN:
        detail = _skips(rows, table)
    else:
        detail = ""
    details = "; ".join(filter(None, [detail, _outlier(rows)]))
    return f"{text} ({details})" if details else text


def _fraction(bound: float) -> str:
    inverse = round(1 / bound)
    return f"1/{inverse}" if inverse > 1 and math.isclose(bound * inverse, 1) else f"{bound:.3g}"


def _spread_of_weights(squares: "pd.Series[float]") -> str:
    """Say σw², n · mean(W²), of layers: one number, or the range."""
    if squares.empty:
        return ""
    low, high = squares.min(), squares.max()
    if high <= _UNIFORM * low:
        return f"σw² = {squares.mean():.2g}"
    return f"σw² = {low:.2g} to {high:.2g}"


def _skips(joins: pd.DataFrame, table: pd.DataFrame) -> str:
    paths = table[table["within"].isin(joins["position"]) & (table["operation"] == "skip")]
    shares = paths["share"].dropna()
    return f"skips bring {100 * shares.mean():.0f} %" if len(shares) else ""


def _outlier(rows: pd.DataFrame) -> str:
    """Name the factor that is furthest from the median of its kind, if it is far."""
    if len(rows) < _FEWEST:
        return ""
    decades = rows["decades"].to_numpy(dtype=float)
    distance = decades - np.median(decades)
    place = int(np.abs(distance).argmax())
    if not abs(distance[place]) >= _OUTLIER:
        return ""
    layer = _place(rows["layer"].tolist()[place])
    return f"{layer} {10 ** distance[place]:.2g} times the median of {len(rows)}"


def tabulate_factors(table: pd.DataFrame, style: str = "simple") -> str:
    """Write the table for people, a line per factor, paths indented under their join.

    Args:
        table: The factors.
        style: Of tabulate.

    Returns:
        The lines. Of long tables they leave out the factors within paths.
    """
    depth = {0: -1}
    for position, within in zip(table["position"], table["within"], strict=True):
        depth[position] = depth[within] + 1
    table = table.assign(depth=table["position"].map(depth))
    if len(table) > _MOST_ROWS:
        table = table[table["depth"] <= 1]
    has_spread = bool(table["spread"].notna().any())
    hop = 0
    lines = []
    for row in table.to_dict("records"):
        name = "" if row["hop"] == hop else f"{row['hop']}: {row['later']} → {row['earlier']}"
        hop = row["hop"]
        kind = row["operation"] if row["kind"] == PATH else row["kind"]
        spread = [_number(row["spread"], ".2f")] if has_spread else []
        lines.append(
            [
                name,
                "· " * row["depth"] + (row["layer"] or "(model)"),
                kind if row["kind"] == PATH else f"{kind}: {row['operation']}",
                _number(row["gain"], ".3g"),
                _number(row["decades"], "+.2f"),
                *spread,
                _number(row["theory"], ".3g"),
                "" if math.isnan(row["share"]) else f"{100 * row['share']:.0f} %",
                row["note"],
            ]
        )
    spread = ["±"] if has_spread else []
    headers = ["hop", "layer", "factor", "gain", "decades", *spread, "theory", "share", "note"]
    align = ("left",) * 3 + ("right",) * (len(headers) - 4) + ("left",)
    return tabulate(lines, headers, style, colalign=align, disable_numparse=True)


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def average(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the factors of several initialisations of one network.

    Decades are averaged, so that they add up as before, and so are shares and cosines; gain is
    10 to the mean, theory the geometric mean, and `spread` the standard deviation of the decades
    over initialisations (of a sample). The two rms are those of the geometric mean.

    Args:
        tables: One of each initialisation.

    Returns:
        A table with the rows of the first.

    Raises:
        StudyError: If the networks do not have the same operations.
    """
    names = ["position", "within", "hop", "layer", "operation", "kind"]
    first = tables[0]
    if any(not table[names].equals(first[names]) for table in tables):
        raise StudyError("the initialisations have different operations; explain one at a time")
    decades = np.array([table["decades"] for table in tables])
    with np.errstate(divide="ignore", invalid="ignore"):
        means = {
            name: 10 ** np.mean([np.log10(table[name]) for table in tables], axis=0)
            for name in ("rms_output", "rms_input", "theory")
        }
        mean = decades.mean(axis=0)
        spread = decades.std(axis=0, ddof=1) if len(tables) > 1 else np.full(len(first), math.nan)
    plain = {
        name: np.mean([table[name] for table in tables], axis=0) for name in ("share", "cosine")
    }
    notes = [
        next(filter(_is_event, row), row[0]) for row in np.array([t["note"] for t in tables]).T
    ]
    return first.assign(**means, **plain, decades=mean, gain=10**mean, spread=spread, note=notes)


def _is_event(note: str) -> bool:
    return note in {*_EVENTS, *_STARTS}
