"""MLflow's pages in a browser: the nested runs, the charts and the artifacts of a run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page, expect, sync_playwright

from stages import track
from tests.support.mlflow_server import free_port, serving
from tests.support.processes import needs
from tests.support.study import copy_study, write_lock
from vanishing import paths
from vanishing.tracking.identity import ROOT_EXPERIMENT

expect.set_options(timeout=60_000)  # a page takes seconds to draw on a busy machine

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    needs(BROWSER, "Chromium is not installed here (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def address(
    study_folder: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Mirror the study and serve it as `make ui` does."""
    folder = tmp_path_factory.mktemp("browser")
    copy_study(study_folder, folder)
    shutil.copy(study_folder / paths.PARAMS, folder)
    write_lock(folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    store = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        track.main([])
    port = free_port()
    with serving(port, folder, "--backend-store-uri", store):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page() -> Iterator[Page]:
    """Open a page that reaches nothing but this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.route(
            lambda url: "127.0.0.1" not in url and not url.startswith("data:"),
            lambda route: route.abort(),
        )
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def run_address(address: str, name: str, tab: str) -> str:
    """Return the address of a run's page."""
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(ROOT_EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.`mlflow.runName` = '{name}'"
    )
    return f"{address}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}{tab}"


def keep_picture(page: Page, name: str) -> None:
    """Write a picture of the page if SCREENSHOTS names a folder."""
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")


def test_the_list_has_each_variant_once_and_opens_its_training_runs(
    address: str, page: Page
) -> None:
    run = run_address(address, "relu", "")
    page.goto(run[: run.index("/runs/")] + "/runs")
    for name in ("sigmoid", "relu", "sigmoid-batchnorm", "Report"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(1)
    training_run = page.get_by_role("link", name="relu seed 0", exact=True)
    expect(training_run).to_have_count(0)
    variant = page.get_by_role("link", name="relu", exact=True)
    page.get_by_role("row").filter(has=variant).get_by_role("button").first.click()
    expect(training_run).to_be_visible()
    keep_picture(page, "runs")


def test_a_run_shows_its_metrics_as_charts_in_the_layers_order(address: str, page: Page) -> None:
    page.goto(run_address(address, "relu seed 0", "/model-metrics"))
    section = page.get_by_text("gradient", exact=True)  # one chart per weight layer
    section.scroll_into_view_if_needed()
    expect(section).to_be_visible()
    names = [f"0{i}-hidden.{i}.linear" for i in range(3)] + ["03-output"]
    positions = []
    for name in names:
        title = page.get_by_text(name, exact=True)
        expect(title).to_be_visible()
        box = title.bounding_box()
        assert box is not None
        positions.append((round(box["y"]), round(box["x"])))  # read by rows, from left to right
    assert positions == sorted(positions)
    keep_picture(page, "charts")


def test_a_run_shows_its_artifacts(address: str, page: Page) -> None:
    page.goto(run_address(address, "relu", "/artifacts"))
    for folder in ("figures", "initialisation"):
        expect(page.get_by_text(folder, exact=True).first).to_be_visible()
    page.get_by_text("figures", exact=True).first.click()
    page.get_by_text("relu.png", exact=True).first.click()
    expect(page.locator("img[src*='relu.png'], img[src^='blob:'], canvas").first).to_be_visible()
    keep_picture(page, "artifacts")
