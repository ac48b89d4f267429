"""The page to explore, in a browser without a network, as it is opened from a file.

With SCREENSHOTS=folder in the environment the page of a study is pictured at three widths.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.browsers import CHROMIUM, needs_chromium
from tests.support.explored_pages import HOSTILE, make_page
from vanishing.explorer import explore as explorer
from vanishing.explorer import page as pages

PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
]

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Give a function that opens a page from its file; at the end no error may have been told."""
    context = browser.new_context(offline=True, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    told: list[str] = []

    def open_it(
        page: pages.Page, fragment: str = "", width: int = 1400, dark: bool = False
    ) -> Page:
        path = tmp_path / "index.html"
        page.save(path)
        tab = context.new_page()
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme="dark" if dark else "light")
        tab.on("console", lambda message: told.append(message.text))
        tab.on("pageerror", lambda error: told.append(str(error)))
        tab.on(
            "request", lambda request: told.append(request.url) if is_foreign(request.url) else None
        )
        tab.goto(f"{path.as_uri()}{fragment}")
        tab.wait_for_selector("html[data-ready]", state="attached")
        return tab

    yield open_it
    context.close()
    assert told == []


def is_foreign(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


@pytest.fixture(scope="module")
def study_page(judged_folder: Path) -> pages.Page:
    return explorer.explore(judged_folder)


PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # the smallest GIF
THREE = make_page(["first", "second", "third"])


def test_a_run_that_is_chosen_is_drawn_thick_and_its_link_shows_it(open_page: Open) -> None:
    tab = open_page(THREE)
    tab.get_by_label("Highlighted run").select_option("second")
    expect(tab.locator("#gradient .line.highlighted path")).to_have_count(1)
    expect(tab.locator("#runs tr.highlighted")).to_contain_text("verdict of second")
    assert "run=second" in tab.url
    again = open_page(THREE, tab.url[tab.url.index("#") :])
    expect(again.get_by_label("Highlighted run")).to_have_value("second")


def test_all_charts_follow_the_moment(open_page: Open) -> None:
    tab = open_page(THREE, "#run=second")
    drawn = [tab.locator(f"#{chart} .line.highlighted path") for chart in ("gradient", "curves")]
    before = drawn[0].get_attribute("d")
    tab.get_by_label("Moment of training").press("ArrowRight")
    expect(tab.locator("#moment-text")).to_have_text("step 10")
    expect(tab.locator("#gradient .caption")).to_contain_text("step 10")
    expect(tab.locator("#gradient-histogram .caption")).to_contain_text("step 10")
    assert drawn[0].get_attribute("d") != before
    tab.get_by_role("button", name="Play").click()
    expect(tab.locator("#moment-text")).to_have_text("step 20")
    expect(tab.get_by_role("button", name="Play")).to_be_visible()  # it has come to the end


def test_a_touched_point_chooses_its_run_and_layer_and_a_touched_step_the_moment(
    open_page: Open,
) -> None:
    tab = open_page(THREE)
    tab.locator("#gradient .line.compared circle").nth(2).click(force=True)
    expect(tab.locator("#layer-name")).to_contain_text("Layer 3 of 4")
    chosen = tab.get_by_label("Highlighted run").input_value()
    assert chosen in {"second", "third"}
    tab.locator("#curves .line.highlighted circle").last.click(force=True)
    expect(tab.locator("#moment-text")).to_have_text("step 20")


def test_a_histogram_is_overlaid_for_each_run_that_is_compared(open_page: Open) -> None:
    tab = open_page(THREE)
    lines = tab.locator("#gradient-histogram .line")
    expect(lines).to_have_count(3)
    tab.get_by_label("compare with third").uncheck()
    expect(lines).to_have_count(2)
    expect(tab.locator("#gradient-histogram .caption")).to_contain_text(
        "11.1 % are NaN or infinite"
    )


def test_every_chart_has_its_numbers_in_a_table(open_page: Open) -> None:
    tab = open_page(THREE)
    tab.get_by_text("Table: gradient by layer").click()
    row = tab.get_by_role("region", name="gradient by layer").get_by_role("row").nth(1)
    expect(row).to_contain_text("1: first.0")
    expect(row).to_contain_text("NaN")
    tab.get_by_text("Table: histogram of the gradient").click()
    counts = tab.get_by_role("region", name="histogram of the gradient")
    expect(counts.get_by_role("row", name="2^-3 4 4 4")).to_be_visible()
    charts = tab.locator("svg[role=img]")
    expect(charts).to_have_count(tab.locator("details:has(summary:text('Table:'))").count() - 1)
    for chart in charts.all():
        assert chart.get_attribute("aria-label")


def test_a_cell_of_a_rule_says_its_reason_by_mouse_and_by_keyboard(open_page: Open) -> None:
    tab = open_page(THREE)
    tab.get_by_role("button", name="second, vanishing gradient: problem (warning)").click()
    expect(tab.locator("#rule-reason")).to_contain_text("measured in second")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(tab.locator("#rule-reason")).to_contain_text("measured in third")
    expect(tab.get_by_label("Highlighted run")).to_have_value("third")


def test_the_predictor_follows_its_knobs(open_page: Open) -> None:
    tab = open_page(THREE)
    expect(tab.locator("#prediction")).to_contain_text("it vanishes")
    tab.locator("#knob-activation-function").select_option("relu")
    tab.get_by_label("Initialisation").select_option("he uniform")
    expect(tab.locator("#prediction")).to_contain_text("it is steady")
    tab.get_by_label("Initialisation").select_option("normal")
    tab.get_by_label("σ of the weights").fill("1")
    tab.get_by_label("σ of the weights").press("Enter")
    expect(tab.locator("#prediction")).to_contain_text("it explodes")
    tab.locator("#knob-activation-function").select_option("swish")
    tab.locator("#knob-depth").fill("200")
    expect(tab.locator("#prediction")).to_contain_text("this page stops")


def test_a_study_has_its_claims_its_epochs_and_its_measured_points(
    open_page: Open, study_page: pages.Page
) -> None:
    tab = open_page(study_page, "#run=relu")
    expect(tab.get_by_role("heading", level=1)).to_contain_text("MNIST")
    expect(tab.locator("#moment-text")).to_have_text("step 0, epoch 0")
    claim = tab.locator("#claims details").first
    claim.locator("summary").click()
    expect(claim.locator("dl")).to_contain_text("effect")
    expect(tab.locator("#runs td").nth(1)).to_have_text(re.compile("fails|warning|note|no problem"))
    tab.get_by_role("button", name="Set the knobs to relu").click()
    expect(tab.locator("#knob-activation-function")).to_have_value("relu")
    expect(tab.locator("#predicted-attenuation .highlighted circle")).to_have_count(4)  # depths
    for width in (380, 800, 1400):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        if "SCREENSHOTS" in os.environ:
            picture = Path(os.environ["SCREENSHOTS"]) / f"explorer-{width}.png"
            tab.screenshot(path=picture, full_page=True)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_violation(
    open_page: Open, study_page: pages.Page, dark: bool
) -> None:
    tab = open_page(study_page, dark=dark)
    tab.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    violations = Axe().run(tab).response["violations"]
    grave = {row["id"] for row in violations if row["impact"] in {"serious", "critical"}}
    assert grave == set()


def test_hostile_names_are_text(open_page: Open) -> None:
    tab = open_page(make_page(HOSTILE))
    assert tab.title() != "attacked"
    assert tab.get_by_label("Highlighted run").locator("option").all_text_contents() == [*HOSTILE]
    for name in HOSTILE:
        tab.get_by_label("Highlighted run").select_option(name)
    again = open_page(make_page(HOSTILE), tab.url[tab.url.index("#") :])
    expect(again.get_by_label("Highlighted run")).to_have_value(HOSTILE[-1])


@pytest.mark.parametrize(
    "fragment",
    ["#run=nobody&step=x&layer=-1&with=[&gradient=", "#layer=99999&step=1e99&with=%7B%7D&depth=0"],
)
def test_a_fragment_that_says_nothing_counts_for_nothing(open_page: Open, fragment: str) -> None:
    tab = open_page(THREE, fragment)
    expect(tab.get_by_label("Highlighted run")).to_have_value("first")
    expect(tab.locator("#layer-name")).to_contain_text("Layer 1 of 4")


def test_values_that_an_axis_cannot_show_are_marked(open_page: Open) -> None:
    tab = open_page(THREE)
    marks = tab.locator("#gradient .line.highlighted .mark")
    assert marks.all_text_contents() == ["×", "×", "▽"]


@pytest.mark.parametrize(("runs", "layers"), [(1, 1), (2, 200), (200, 200)])
def test_one_layer_and_very_many_are_drawn(open_page: Open, runs: int, layers: int) -> None:
    page = make_page([f"run {number}" for number in range(runs)], layers, steps=(0, 1))
    tab = open_page(page)
    expect(tab.locator("#gradient .line")).to_have_count(runs)


def test_a_run_without_any_record_is_left_out_with_a_word(open_page: Open) -> None:
    page = make_page(["empty"])
    bare = page.content["runs"][0] | {"series": {}, "histograms": {}, "curves": {}, "layers": []}
    tab = open_page(pages.Page(page.content | {"runs": [bare]}))
    expect(tab.get_by_text("No gradient is recorded.")).to_be_visible()
    expect(tab.get_by_text("No loss is recorded.")).to_be_visible()


def test_print_shows_the_charts_without_controls(open_page: Open) -> None:
    tab = open_page(THREE, dark=True)
    tab.emulate_media(media="print")
    expect(tab.locator("#controls")).to_be_hidden()
    expect(tab.locator("#gradient svg")).to_be_visible()


def test_a_page_with_a_report_prints_its_figures_and_no_charts(open_page: Open) -> None:
    figure = {"caption": "Loss by <step>", "source": f"data:image/gif;base64,{PIXEL}"}
    tab = open_page(pages.Page(THREE.content | {"figures": [figure]}))
    expect(tab.locator("#printed")).to_be_hidden()
    tab.emulate_media(media="print")
    printed = tab.locator("#printed figure")
    expect(printed).to_have_text("Loss by <step>")
    assert printed.locator("img").evaluate("image => image.naturalWidth") == 1
    for chart in ("#gradient", "#curves", "#rules-body", "#predicted-chi"):
        expect(tab.locator(chart)).to_be_hidden()
    expect(tab.locator("#runs")).to_be_visible()


def test_a_remedy_that_was_tried_is_linked(open_page: Open) -> None:
    first, second, *_ = THREE.content["runs"]
    runs = [first, second | {"remedy": "remedies/second.md"}]
    tab = open_page(pages.Page(THREE.content | {"runs": runs}), "#run=second")
    expect(tab.locator("#remedy a")).to_have_attribute("href", "remedies/second.md")
    tab.get_by_label("Highlighted run").select_option("first")
    expect(tab.locator("#remedy")).to_be_hidden()


def test_a_notebook_shows_the_page_in_a_frame(browser: Browser) -> None:
    tab = browser.new_page()
    tab.set_content(THREE._repr_html_())
    frame = tab.frame_locator("iframe")
    frame.get_by_label("Highlighted run").select_option("third", timeout=PATIENCE_MS)
    expect(frame.locator("#runs tr.highlighted")).to_contain_text("third")
    tab.close()
