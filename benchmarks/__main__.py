"""Measure speed against the alternatives: `python -m benchmarks [NAME …]`, all by default.

In: params.yaml, data/raw and, for what they are about, models/, data/ and dvc.lock. Out: a table on
stdout, reports/benchmarks.md and reports/benchmarks.json. Some are run only where they are named:
those on the zoo's trainings (hours) have reports/benchmarks-zoo.json, `gpu` has
reports/benchmarks-gpu.json. Figures that were measured before on the same machine,
and are not measured now, stay in the reports.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from benchmarks.measuring import Result, meets
from vanishing.errors import StudyError, run_command
from vanishing.files import read_json, write_json, write_text
from vanishing.paths import RAW, REPORTS

NAMES = (
    "training",
    "recording",
    "watching",
    "correctness",
    "public_models",
    "neighbour",
    "extraction",
    "pipeline",
    "parallel",
    "scale",
    "load",
    "page",
)
ON_ZOO = ("verdicts", "rivals", "gate", "remedies")
ON_GPU = ("gpu",)
KNOWN = (*NAMES, *ON_ZOO, *ON_GPU)
TITLES = {
    "watching": "A watched step over a plain one, medians and their 95 % intervals",
    "correctness": "What each tool records where the optimizer used another gradient",
    "public_models": "How each tool fares with public models, unchanged",
    "verdicts": "Verdicts on learning: how many trainings of the zoo each detector finds",
    "rivals": "Other tools on the same trainings, after 100 steps",
    "causes": "Causes and layers that verdicts name",
    "claims": "What single measurements tell: claims, by the rule of benchmarks/zoo/claims.py",
    "misjudged": "Cases that verdicts misjudge",
    "gate": "What the gate says of the zoo",
    "remedies": "What heals trainings of the zoo that a change can heal",
    "not healed": "Cases that the recommendation does not heal",
    "plain faults": "What is said of cases that no change can heal, and of healthy ones",
    "sleeping": "Ten stages that sleep for 3 s, side by side",
    "networks": "Cost against width and depth",
    "files": "Size of the study's Parquet files",
    "load": "Time and memory of the closing stages, tiny networks",
    "growth": "Size against epochs and layers, ten traced steps an epoch",
}
_MARKDOWN = REPORTS / "benchmarks.md"


class Group(NamedTuple):
    """Benchmarks whose figures are kept together, with the machine that they are of.

    Attributes:
        names: Which ones.
        path: Of the figures.
        title: Above them; empty for the first.
        command: That measures them.
    """

    names: tuple[str, ...]
    path: Path
    title: str
    command: str


_ZOO_COMMAND = f'`make bench NAMES="{" ".join(ON_ZOO)}"`'
GROUPS = (
    Group(NAMES, REPORTS / "benchmarks.json", "", "`make bench`"),
    Group(ON_ZOO, REPORTS / "benchmarks-zoo.json", "On the zoo of trainings", _ZOO_COMMAND),
    Group(ON_GPU, REPORTS / "benchmarks-gpu.json", "On a GPU", "`make bench NAMES=gpu`"),
)


def main(argv: list[str]) -> None:
    """Measure and report.

    Raises:
        StudyError: If a name is unknown, or the data are missing.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)}")
    names = parser.parse_args(argv).names or list(NAMES)
    unknown = sorted(set(names) - set(KNOWN))
    if unknown:
        raise StudyError(f"no benchmark {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    if not RAW.is_dir():
        raise StudyError(f"{RAW} is missing; the benchmarks run on real MNIST: make repro")
    from benchmarks import machine  # noqa: PLC0415 - imports torch

    for name in names:
        path = next(group.path for group in GROUPS if name in group.names)
        content = read_figures(path, machine.describe())
        run(name, content)
        # After every benchmark: its figures are kept, should a later one fail.
        write_json(path, content)
        page = report([read_json(g.path) if g.path.exists() else None for g in GROUPS])
        write_text(_MARKDOWN, page)
    print(page)


def run(name: str, content: dict[str, Any]) -> None:
    """Run a benchmark, print its results and put its figures into `content`."""
    begun = time.monotonic()
    figures = importlib.import_module(f"benchmarks.{name}").measure()
    content["results"][name] = [result._asdict() for result in figures.results]
    content["tables"] |= figures.tables
    content["minutes"][name] = round((time.monotonic() - begun) / 60, 1)
    if figures.results:
        print(_tabulate(figures.results), flush=True)


def read_figures(path: Path, machine: dict[str, Any]) -> dict[str, Any]:
    """Return the content of benchmarks.json, or an empty one where it is of another machine."""
    if path.exists():
        content: dict[str, Any] = read_json(path)
        if content["machine"] == machine:
            return content
    return {"machine": machine, "minutes": {}, "results": {}, "tables": {}}


def report(contents: Sequence[dict[str, Any] | None]) -> str:
    """Write the tables in GitHub's Markdown.

    Args:
        contents: Of the files of GROUPS, in their order; None where there is none.

    Returns:
        The page.
    """
    parts = ["# Benchmarks", "Ratios are medians over interleaved repeats (A B A B …)."]
    for group, content in zip(GROUPS, contents, strict=True):
        if content:
            parts += [f"## {group.title}"] if group.title else []
            parts += _parts(content, group.command)
    return "\n\n".join(parts) + "\n"


def _parts(content: dict[str, Any], command: str) -> list[str]:
    """Write the tables of one machine."""
    results = [Result(**row) for name in KNOWN for row in content["results"].get(name, [])]
    machine = ", ".join(
        f"{key} {value}" for key, value in content["machine"].items() if value is not None
    )
    minutes = sum(content["minutes"].values())
    parts = [
        f"All of {command} took {minutes:.0f} minutes on this machine: {machine}.",
        _tabulate(results),
    ]
    for name, title in TITLES.items():
        if name in content["tables"]:
            table = tabulate(
                content["tables"][name], "keys", tablefmt="github", floatfmt=".3g", intfmt=","
            )
            parts += [f"## {title}", table]
    return parts


def _tabulate(results: list[Result]) -> str:
    rows = [
        [
            result.what,
            _write_value(result),
            _write_limit(result.must),
            _write_limit(result.aim),
            _write_verdict(result),
            result.detail,
        ]
        for result in results
    ]
    head = ["what", "measured", "must reach", "aim", "", "behind it"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _write_value(result: Result) -> str:
    if result.value is None:
        return "not measured"
    return f"{result.value:.3g} {result.unit}".strip()


def _write_limit(limit: str) -> str:
    return limit.replace(">=", "≥").replace("<=", "≤")


def _write_verdict(result: Result) -> str:
    if meets(result.value, result.aim):
        return "aim"
    return {True: "met", False: "**missed**", None: ""}[meets(result.value, result.must)]


if __name__ == "__main__":
    sys.exit(run_command(main))
