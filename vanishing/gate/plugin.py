"""A plugin of pytest: what `assert_trains` failed is in the reports, as data.

In JUnit XML each failed check is a property `vanishing_gate` of the test: a `Failure` as a JSON
object. Where GITHUB_ACTIONS is true, each is printed as an annotation of its line. pytest imports
this module in every run: it imports no torch.
"""

import os
from pathlib import Path

import pytest

from vanishing.gate.failures import DoesNotTrainError, Failure, Place

PROPERTY = "vanishing_gate"


@pytest.hookimpl(tryfirst=True)  # before the report is made of the properties
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> None:
    """Add failed checks to the properties of a test, from where JUnit XML takes them."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, DoesNotTrainError):
        item.user_properties += [(PROPERTY, failure.to_json()) for failure in error.failures]


def pytest_terminal_summary(
    terminalreporter: "pytest.TerminalReporter", config: pytest.Config
) -> None:
    """Print annotations for GitHub, of tests that ran in other processes (xdist) too."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    folder = Path(os.environ.get("GITHUB_WORKSPACE") or config.rootpath)
    for status in ("failed", "error"):
        for report in terminalreporter.stats.get(status, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    failure = Failure.from_json(str(value))
                    terminalreporter.write_line(_annotation(failure, report, config, folder))


def _annotation(
    failure: Failure, report: "pytest.TestReport", config: pytest.Config, folder: Path
) -> str:
    """Return a workflow command of GitHub; the test's own place where the network has none."""
    file, line, _ = report.location
    test = Place(str((config.rootpath / file).resolve()), (line or 0) + 1)
    place = (failure.place or test).relative_to(folder.resolve())
    properties = {
        "file": place.file,
        "line": str(place.line),
        "title": f"does not train: {failure.check}",
    }
    written = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    return f"::error {written}::{_escape(f'{failure} ({report.nodeid})')}"


def _escape(text: str) -> str:
    """Escape what would end a command of GitHub; the percent sign comes first."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
