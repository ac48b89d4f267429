"""The page to explore of the study: its size, and how soon a browser has drawn all of it.

The page is opened from its file in Chromium without a network, anew for each repeat. The time runs
from the navigation's start, as the browser has it, to the last view's first drawing.
"""

import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.measuring import Figures, Result
from tests.support.browsers import CHROMIUM, MISSING
from vanishing.errors import StudyError
from vanishing.explorer.explore import explore

REPEATS = 9
_WIDTH, _HEIGHT = 1400, 900


def measure() -> Figures:
    """Measure the page of the study in the working directory."""
    begun = time.perf_counter()
    page = explore(".")
    collecting_s = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.html"
        page.save(path)
        size = path.stat().st_size
        times_ms = open_repeatedly(path)
    runs = len(page.content["runs"])
    return Figures(
        [
            Result(
                "page to explore: size",
                size / 1e6,
                "<= 3",
                "<= 2",
                "MB",
                f"{runs} runs; read and judged in {collecting_s:.1f} s",
            ),
            Result(
                "page to explore: from opening the file to all charts drawn",
                statistics.median(times_ms) / 1000,
                "<= 1",
                "<= 0.5",
                "s",
                f"median of {REPEATS}: {min(times_ms):.0f} to {max(times_ms):.0f} ms",
            ),
        ],
        {},
    )


def open_repeatedly(path: Path) -> list[float]:
    """Open a page REPEATS times, each in a context of its own.

    Args:
        path: Of the file.

    Returns:
        The times, in ms.

    Raises:
        StudyError: If Chromium is not installed.
    """
    if CHROMIUM is None:
        raise StudyError(MISSING)
    times_ms = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(REPEATS):
            size = {"width": _WIDTH, "height": _HEIGHT}
            context = browser.new_context(offline=True, viewport=size)  # type: ignore[arg-type]
            tab = context.new_page()
            tab.goto(path.resolve().as_uri())
            tab.wait_for_selector("html[data-ready]", state="attached")
            times_ms.append(float(tab.evaluate("document.documentElement.dataset.ready")))
            context.close()
        browser.close()
    return times_ms
