"""The public names of the library, and the page that describes them."""

import re
import runpy
from pathlib import Path

import pytest

import vanishing
from tests.support.documentation import code_blocks
from tests.support.study import ROOT

PAGE = ROOT / "docs/library.md"


def test_the_page_describes_every_public_name_and_no_other() -> None:
    described = re.findall(r"^\| `(\w+)` \| \w", PAGE.read_text().split("## Public names")[1], re.M)
    assert sorted(described) == sorted(dir(vanishing))


@pytest.mark.parametrize("name", dir(vanishing))
def test_a_public_name_is_the_one_of_the_module_that_defines_it(name: str) -> None:
    value = getattr(vanishing, name)
    assert value is not None
    module = getattr(value, "__module__", "")
    assert module.startswith("vanishing.") or isinstance(value, dict | str)


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "recrod"
    with pytest.raises(AttributeError, match=name):
        getattr(vanishing, name)


def run_example(page: Path, folder: Path) -> None:
    """Run the first block of Python of a page."""
    example = folder / "example.py"
    example.write_text(code_blocks(page, "python")[0])
    runpy.run_path(str(example))


def test_the_pages_example_prints_what_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(PAGE, tmp_path)
    printed, documented = capsys.readouterr().out, code_blocks(PAGE, "text")[0]
    assert without_values(printed) == without_values(documented)
    pairs = re.findall(r": ([\d.]+), in theory ([\d.]+)", printed)
    assert len(pairs) == 4  # three hops and their product
    for measured, predicted in pairs:
        assert float(measured) == pytest.approx(float(predicted), rel=0.2)


def test_the_example_of_theory_prints_what_its_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs/theory.md"
    run_example(page, tmp_path)
    printed, documented = capsys.readouterr().out, code_blocks(page, "text")[0]
    assert without_values(printed) == without_values(documented)
    hops = [
        re.findall(r"(?:hop|attenuation): ([\d.]+)$", text, re.M) for text in (printed, documented)
    ]
    assert [float(hop) for hop in hops[0]] == pytest.approx([float(h) for h in hops[1]], rel=0.05)


def test_the_readmes_example_shows_a_gradient_that_vanishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(ROOT / "README.md", tmp_path)
    gradients = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(gradients) == 6
    assert gradients == sorted(gradients)
    assert gradients[0] < 1e-3 * gradients[-1]


def without_values(text: str) -> str:
    """Replace each measured value, which depends on the draw of the weights, by #."""
    return re.sub(r"(?<=: )[\d.e-]+|(?<=theory )[\d.]+", "#", text)
