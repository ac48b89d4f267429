"""MLflow's pages in a browser, as a newcomer opens them: from the home page to a run's charts.

With SCREENSHOTS=folder in the environment each test leaves pictures of what it saw.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Locator, Page, expect, sync_playwright

from stages import track
from tests.support.browsers import CHROMIUM, needs_chromium
from tests.support.processes import until
from tests.support.servers import free_port
from tests.support.study import copy_study, write_lock
from tools import ui
from vanishing import paths
from vanishing.tracking import pages
from vanishing.tracking.identity import ROOT_EXPERIMENT

expect.set_options(timeout=60_000)  # a page takes seconds to draw on a busy machine

VARIANTS = ("sigmoid", "relu", "sigmoid-batchnorm")
GRADIENT = ["attenuation", "gradient_by_layer_init", "gradient_by_layer_trained"]
DURATION = re.compile(r"^\d+(\.\d)?(ms|s|min)$")  # of a training, not the hours until `track`

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
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
    with ui.serving(store, port, folder) as server:
        ui.wait_for(server, port)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page() -> Iterator[Page]:
    """Open a page that reaches nothing but this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1920, "height": 1080})
        context.route(
            lambda url: "127.0.0.1" not in url and not url.startswith("data:"),
            lambda route: route.abort(),
        )
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def keep_picture(page: Page, name: str) -> None:
    """Write a picture of the page if SCREENSHOTS names a folder."""
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")


def experiment_id(address: str) -> str:
    """Return MLflow's id of the study's experiment."""
    experiment = MlflowClient(tracking_uri=address).get_experiment_by_name(ROOT_EXPERIMENT)
    assert experiment is not None
    return str(experiment.experiment_id)


def open_view(page: Page, address: str, key: str) -> None:
    """Open one of the study's views."""
    page.goto(f"{address}/{pages.of_view(experiment_id(address), key)}")


def charts(page: Page) -> Locator:
    """Return the cards of charts, in the order of the page."""
    return page.get_by_test_id("experiment-view-compare-runs-card")


def read_titles(page: Page, count: int) -> list[str]:
    """Return the titles of the first charts, in order, once each has a line.

    MLflow keeps the charts that are near, so the page is scrolled.
    """
    look = "cards => cards.map(c => [c.innerText.split('\\n')[0], !!c.querySelector('.trace')])"
    titles: list[str] = []
    charts(page).first.hover()

    def scroll() -> bool:
        cards: list[tuple[str, bool]] = charts(page).evaluate_all(look)
        if not cards or not all(drawn for _, drawn in cards):
            return False
        titles.extend(title for title, _ in cards if title not in titles)
        if len(titles) < count:
            page.mouse.wheel(0, 300)
        return len(titles) >= count

    until(scroll)
    return titles[:count]


def open_run(page: Page, address: str, name: str, tab: str = "") -> None:
    """Open a run's page."""
    identifier = experiment_id(address)
    (run,) = MlflowClient(tracking_uri=address).search_runs(
        [identifier], filter_string=f"attributes.run_name = '{name}'"
    )
    page.goto(f"{address}/#/experiments/{identifier}/runs/{run.info.run_id}{tab}")


def test_the_home_page_leads_to_the_charts_of_the_variants(address: str, page: Page) -> None:
    page.goto(address)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=ROOT_EXPERIMENT))
    expect(row).to_contain_text("Does the gradient vanish?")
    keep_picture(page, "1-home")
    row.get_by_role("link", name=ROOT_EXPERIMENT).click()
    page.get_by_role("button", name="Got it").click()  # MLflow's advice on language models
    link = page.get_by_role("link", name="charts", exact=True)
    expect(link).to_be_visible()
    keep_picture(page, "2-experiment")
    with page.context.expect_page() as opened:
        link.click()
    runs = opened.value
    for variant in VARIANTS:
        expect(runs.get_by_text(f"Group: {variant}", exact=True)).to_be_visible()
        expect(charts(runs).first).to_contain_text(f"{variant} seed 0 (attenuation)")
    assert read_titles(runs, 6) == [*GRADIENT, "train_loss", "test_loss", "test_accuracy"]
    keep_picture(runs, "3-charts")


def test_the_table_has_verdicts_metrics_and_the_time_of_training(address: str, page: Page) -> None:
    open_view(page, address, pages.TABLE)
    for column in ("study.verdict", "attenuation_init", "test_accuracy", "train_loss"):
        expect(page.get_by_role("columnheader", name=column).first).to_be_visible()
    links = [page.get_by_role("link", name=name, exact=True) for name in VARIANTS]
    for link in links:
        expect(link).to_have_count(1)
    cells = page.locator("[role=gridcell][col-id=duration]")
    expect(cells).to_have_count(len(VARIANTS))
    for cell in cells.all():
        expect(cell).to_have_text(DURATION)
    for cell in page.locator("[role=gridcell][col-id='tags.`study.verdict`']").all():
        expect(cell).to_have_text(re.compile("steady, (learns|will not learn|too early to say)"))
    training_run = page.get_by_role("link", name="relu seed 0", exact=True)
    expect(training_run).to_have_count(0)
    page.get_by_role("row").filter(has=links[1]).get_by_role("button").first.click()
    expect(training_run).to_be_visible()
    keep_picture(page, "4-table")


def test_a_run_says_what_it_is(address: str, page: Page) -> None:
    open_run(page, address, "relu seed 0")
    description = page.get_by_text("sigmoid with activation relu instead of sigmoid.")
    description.scroll_into_view_if_needed()
    expect(description).to_be_visible()
    expect(page.get_by_text("At initialisation the gradient is steady")).to_be_visible()
    expect(page.get_by_text("train.py", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="relu", exact=True)).to_be_visible()  # the parent run
    keep_picture(page, "5-run")


def test_a_runs_charts_are_in_the_order_of_the_question_and_of_the_layers(
    address: str, page: Page
) -> None:
    open_run(page, address, "relu seed 0", "/model-metrics")
    assert read_titles(page, 3) == GRADIENT
    keep_picture(page, "6-run-charts")
    assert read_titles(page, 12) == [
        *GRADIENT,
        *("test_accuracy", "test_loss", "train_accuracy", "train_loss", "train_loss_batch"),
        *(f"weight_gradient_0{i}_hidden.{i}.linear" for i in range(3)),
        "weight_gradient_03_output",
    ]


def test_the_report_is_a_click_away(address: str, page: Page) -> None:
    open_view(page, address, pages.TABLE)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="report", exact=True).click()
    report = opened.value
    expect(report.get_by_role("heading", name="Vanishing gradients on MNIST")).to_be_visible()
    keep_picture(report, "7-report")


def test_a_run_shows_its_artifacts(address: str, page: Page) -> None:
    open_run(page, address, "relu", "/artifacts")
    for folder in ("figures", "initialisation"):
        expect(page.get_by_text(folder, exact=True).first).to_be_visible()
    page.get_by_text("figures", exact=True).first.click()
    page.get_by_text("relu.png", exact=True).first.click()
    expect(page.locator("img[src*='relu.png'], img[src^='blob:'], canvas").first).to_be_visible()
    keep_picture(page, "8-artifacts")
