"""What pytest reports of a network that failed: properties and annotations."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest_plugins = ("pytester",)

FAILING = """
from vanishing.gate.failures import DoesNotTrainError, Failure, Place

def test_network():
    place = Place({file!r}, 7)
    raise DoesNotTrainError([
        Failure("loss", "", "0%, of 2", "at least: 2%", "Line one.\\nLine two.", place),
        Failure("finite", "head", "1", "0", "Why."),
    ])

def test_other():
    assert False, "of no network"

def test_caught():
    try:
        raise DoesNotTrainError([Failure("loss", "", "0", "1", "Why.")])
    except AssertionError:
        pass
"""


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the tests of a folder of their own, with the plugin and without an installed one."""
    network = pytester.path / "networks" / "net.py"
    pytester.makepyfile(FAILING.format(file=str(network)))
    plugins = ("-p", "no:vanishing", "-p", "vanishing.gate.plugin", "-p", "no:cacheprovider")
    return pytester.runpytest_inprocess(*plugins, *options)


def test_failed_checks_are_in_the_junit_file(pytester: pytest.Pytester) -> None:
    run(pytester, "--junitxml=report.xml")
    cases = {
        case.get("name"): case
        for case in ET.parse(pytester.path / "report.xml").iter("testcase")  # noqa: S314
    }
    properties = [
        (item.get("name"), json.loads(item.get("value", "")))
        for item in cases["test_network"].iter("property")
    ]
    assert [name for name, _ in properties] == ["vanishing_gate"] * 2
    assert properties[0][1]["place"] == {
        "file": str(pytester.path / "networks" / "net.py"),
        "line": 7,
    }
    assert properties[1][1] == {
        "check": "finite",
        "module": "head",
        "measured": "1",
        "bound": "0",
        "reason": "Why.",
        "place": None,
    }
    assert not list(cases["test_other"].iter("property"))
    assert not list(cases["test_caught"].iter("property"))


def test_annotations_are_printed_on_github(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    lines = [line for line in run(pytester).outlines if line.startswith("::")]
    assert len(lines) == 2
    of_network, of_test = lines
    head, _, message = of_network.removeprefix("::error ").partition("::")
    assert head.startswith("file=networks/net.py,line=7,title=")
    assert "0%25, of 2, should be at least: 2%25. Line one.%0ALine two." in message
    # Without a line of its own, it is the test's.
    assert of_test.startswith("::error file=test_annotations_are_printed_on_github.py,line=3,")


def test_paths_are_relative_to_github_s_workspace(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    lines = [line for line in run(pytester).outlines if line.startswith("::")]
    assert lines[0].startswith(f"::error file={pytester.path.name}/networks/net.py,line=7,")


def test_elsewhere_nothing_is_printed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert not [line for line in run(pytester).outlines if line.startswith("::")]


def test_annotations_of_tests_in_other_processes_are_printed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    lines = [line for line in run(pytester, "-n", "1").outlines if line.startswith("::")]
    assert len(lines) == 2


def test_the_plugin_imports_no_torch() -> None:
    code = "import sys, vanishing.gate.plugin; print(sorted({'torch', 'pandas'} & {*sys.modules}))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"


def test_the_package_names_the_plugin_to_pytest() -> None:
    import tomllib  # noqa: PLC0415

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"vanishing": "vanishing.gate.plugin"}
