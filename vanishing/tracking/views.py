"""The views of a study's runs that MLflow offers under "Views": tags of its experiment.

MLflow's own automatic charts are one per metric, of ten runs, in alphabetical order. These views
have the charts that answer the study's question first, of all variants. Their format is what
MLflow 3.17 writes when a person saves a view; a version that does not know it shows its own charts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vanishing.tracking import scalars
from vanishing.tracking.pages import CHARTS, TABLE
from vanishing.tracking.tags import SUPERSEDED, VARIANT, VERDICT, VIEW

_NAMES = {CHARTS: "Charts by variant", TABLE: "Table of variants"}
_OTHERS = ("Model metrics", "System metrics")  # MLflow's sections, for metrics without a chart here
_SECTIONS: Mapping[str, Sequence[str]] = {
    "Gradient": (
        scalars.ATTENUATION,
        scalars.BY_LAYER_INIT,
        scalars.BY_LAYER_TRAINED,
    ),
    "Loss and accuracy": (scalars.TRAIN_LOSS, scalars.TEST_LOSS, scalars.TEST_ACCURACY),
    **dict.fromkeys(_OTHERS, ()),
}
_LINEAR = {scalars.TEST_ACCURACY}
_CREATED_MS = 1  # MLflow asks for a time; a constant keeps the tags as they are


def saved() -> dict[str, str]:
    """Return the experiment's tags that hold the views.

    The charts have a line for each run. Runs of a variant are a group, and have one colour; MLflow
    would give a group that is one line a colour that others may have too.

    Returns:
        {tag: value}.
    """
    groups = [{"mode": "tag", "groupByData": VARIANT}]
    by_variant = {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": groups},
        "useGroupedValuesInCharts": False,
    }
    states: Mapping[str, Mapping[str, Any]] = {TABLE: {}, CHARTS: by_variant}
    return {f"{VIEW}{key}": _envelope(_NAMES[key], state) for key, state in states.items()}


def _envelope(name: str, state: Mapping[str, Any]) -> str:
    """Return a view as MLflow saves it: its name, two times, and its state as JSON in JSON."""
    view = {
        "name": name,
        "createdAt": _CREATED_MS,
        "updatedAt": _CREATED_MS,
        "state": json.dumps({**_rows(), **_charts(), **state}),
    }
    return json.dumps(view)


def _rows() -> dict[str, Any]:
    """Return the part of a state that says which runs are shown, and with which columns."""
    metrics = (scalars.INITIAL_ATTENUATION, scalars.TEST_ACCURACY, scalars.TRAIN_LOSS)
    columns = [
        f"tags.`{VERDICT}`",
        *(f"metrics.`{metric}`" for metric in metrics),
        "attributes.`Source`",
        "attributes.`Description`",
    ]
    return {
        "searchFilter": f"tags.`{SUPERSEDED}` IS NULL AND tags.`{VARIANT}` IS NOT NULL",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", "runDateAndNestInfo", "duration", *columns],
        "columnWidths": {columns[0]: 140, columns[-1]: 400},
    }


def _charts() -> dict[str, Any]:
    """Return the part of a state that says which charts are shown, in which sections."""
    sections = [
        {
            "uuid": f"study-{index}",
            "name": name,
            "display": name not in _OTHERS,  # these are opened by a click
            "isReordered": True,  # MLflow leaves the order of its charts alone
            "deleted": False,
            "isGenerated": False,
        }
        for index, name in enumerate(_SECTIONS)
    ]
    charts = [
        _chart(metric, f"study-{index}")
        for index, metrics in enumerate(_SECTIONS.values())
        for metric in metrics
    ]
    return {
        "compareRunSections": sections,
        "compareRunCharts": charts,
        "isAccordionReordered": True,  # MLflow leaves the order of sections alone
    }


def _chart(metric: str, section: str) -> dict[str, Any]:
    """Return a line chart of a metric against its step."""
    return {
        "type": "LINE",
        "uuid": f"study-{metric}",
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear" if metric in _LINEAR else "log",
        "range": {},
        "lineSmoothness": 0,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
