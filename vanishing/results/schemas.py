"""The columns of every Parquet table: a public contract, explained in docs/results.md."""

import pyarrow as pa

_RUN = [("variant", pa.string()), ("seed", pa.int64())]
_LAYER = [("layer_index", pa.int64()), ("layer", pa.string()), ("tensor", pa.string())]
_WHEN = [("epoch", pa.int64()), ("step", pa.int64())]

HISTORY = pa.schema(
    [
        *_RUN,
        *_WHEN,
        ("train_loss", pa.float64()),
        ("train_accuracy", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_accuracy", pa.float64()),
        ("train_loss_end", pa.float64()),
        ("train_accuracy_end", pa.float64()),
    ]
)
LOSSES = pa.schema([*_RUN, *_WHEN, ("loss", pa.float64())])
TRACE = pa.schema(
    [*_RUN, ("step", pa.int64()), *_LAYER, ("statistic", pa.string()), ("value", pa.float64())]
)
TRACE_HISTOGRAMS = pa.schema(
    [
        *_RUN,
        ("step", pa.int64()),
        *_LAYER,
        ("bin_left", pa.float64()),
        ("bin_right", pa.float64()),
        ("count", pa.int64()),
    ]
)
LAYERS = pa.schema([*_RUN, *_WHEN, *_LAYER, ("statistic", pa.string()), ("value", pa.float64())])
INITIALISATIONS = pa.schema(
    [
        ("variant", pa.string()),
        ("depth", pa.int64()),
        ("seed", pa.int64()),
        *_LAYER,
        ("statistic", pa.string()),
        ("value", pa.float64()),
    ]
)
THEORY = pa.schema(
    [
        ("variant", pa.string()),
        ("depth", pa.int64()),
        ("layer_index", pa.int64()),
        ("quantity", pa.string()),
        ("predicted", pa.float64()),  # null where there is no theory
        ("measured", pa.float64()),
        ("low", pa.float64()),  # null where n is 1
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)
UNITS = pa.schema(
    [
        *_RUN,
        *_WHEN,
        ("layer_index", pa.int64()),
        ("layer", pa.string()),
        ("unit", pa.int64()),
        ("fraction_active", pa.float64()),
        ("fraction_flat", pa.float64()),
    ]
)
HISTOGRAMS = pa.schema(
    [
        *_RUN,
        *_WHEN,
        *_LAYER,
        ("scale", pa.string()),
        ("bin_left", pa.float64()),
        ("bin_right", pa.float64()),
        ("count", pa.int64()),
    ]
)

# Of trainings that `vanishing.watch` watches:
STEPS = pa.schema(  # a row per step and parameter group
    [
        *_RUN,
        ("optimizer", pa.string()),
        ("step", pa.int64()),
        ("group", pa.string()),
        ("traced", pa.bool_()),
        ("skipped", pa.bool_()),
        ("norm_before_clipping", pa.float64()),  # null without clipping
        ("learning_rate", pa.float64()),
    ]
)
PARAMETERS = pa.schema(  # a row per traced step and parameter
    [
        *_RUN,
        ("optimizer", pa.string()),
        ("step", pa.int64()),
        ("group", pa.string()),
        ("layer_index", pa.int64()),
        ("layer", pa.string()),
        ("parameter", pa.string()),
        ("gradient", pa.string()),  # present, zero, frozen, detached, unused or absent
    ]
)
HEADS = pa.schema(  # of attention
    [
        *_RUN,
        ("step", pa.int64()),
        ("layer_index", pa.int64()),
        ("layer", pa.string()),
        ("head", pa.int64()),
        ("tensor", pa.string()),
        ("statistic", pa.string()),
        ("value", pa.float64()),
    ]
)

SCHEMAS = {  # of the study's tables
    "history": HISTORY,
    "losses": LOSSES,
    "trace": TRACE,
    "trace_histograms": TRACE_HISTOGRAMS,
    "layers": LAYERS,
    "histograms": HISTOGRAMS,
    "units": UNITS,
    "initialisation": INITIALISATIONS,
    "depths": INITIALISATIONS,
    "theory": THEORY,
}
