"""The views that MLflow offers; tests/test_browser.py opens them."""

import json
from typing import Any

import pytest
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

from vanishing.tracking import pages, views
from vanishing.tracking.tags import VIEW


def state(key: str) -> dict[str, Any]:
    """Return what a saved view says of charts and rows."""
    content: dict[str, Any] = json.loads(views.saved()[f"{VIEW}{key}"])
    read: dict[str, Any] = json.loads(content["state"])
    return read


@pytest.mark.parametrize("key", [pages.CHARTS, pages.TABLE])
def test_each_view_has_the_charts_in_the_sections_order(key: str) -> None:
    content = state(key)
    sections = [section["uuid"] for section in content["compareRunSections"]]
    charts = content["compareRunCharts"]
    assert [chart["metricKey"] for chart in charts][:2] == ["attenuation", "gradient_by_layer_init"]
    positions = [sections.index(chart["metricSectionId"]) for chart in charts]
    assert positions == sorted(positions)


def test_charts_are_grouped_by_variant_and_have_a_line_for_each_run() -> None:
    charts = state(pages.CHARTS)
    assert charts["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "study.variant"}]
    assert charts["useGroupedValuesInCharts"] is False
    assert "groupBy" not in state(pages.TABLE)


def test_a_view_fits_into_a_tag() -> None:
    assert max(map(len, views.saved().values())) < MAX_EXPERIMENT_TAG_VAL_LENGTH
