"""Measure speed against the alternatives: `python -m benchmarks [NAME …]`, all by default.

In: params.yaml, data/raw, and, for what they are about, models/ and dvc.lock. Out: a table on
stdout and, where everything was measured, reports/benchmarks.md and reports/benchmarks.json.
"""

import argparse
import importlib
import sys
import time
from typing import Any

from tabulate import tabulate

from benchmarks import measuring
from benchmarks.measuring import Result, meets
from stages.core.errors import StudyError, run_command
from stages.core.files import RAW, REPORTS, write_json, write_text

NAMES = ("training", "recording", "extraction", "pipeline", "scale")
GPU_ROWS = [
    Result("a GPU: epoch, usual loop over ours, same GPU", None, ">= 40", ">= 100", "×", ""),
    Result("a GPU: all variants, all stages, wall time", None, "<= 120", "<= 45", "s", ""),
]
TABLES = {
    "networks": "Cost against width and depth",
    "files": "Size of the study's Parquet files",
    "growth": "Size against epochs and layers, ten traced steps an epoch",
}


def main(argv: list[str]) -> None:
    """Measure and report.

    Raises:
        StudyError: If a name is unknown, or the data are not there.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args(argv).names or list(NAMES)
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise StudyError(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if not RAW.is_dir():
        raise StudyError(f"{RAW} is missing; the benchmarks run on real MNIST: make repro")
    begun = time.monotonic()
    results: list[Result] = []
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        if name == "scale":
            tables = {table: getattr(module, table)() for table in TABLES}
        else:
            found = module.measure()
            results += found
            print(_table(found), flush=True)  # what is known, should a later one fail
    everything = {
        "machine": measuring.machine(),
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "results": [each._asdict() for each in results],
        **tables,
    }
    text = report(everything)
    print(text)
    if list(names) == list(NAMES):
        write_json(REPORTS / "benchmarks.json", everything)
        write_text(REPORTS / "benchmarks.md", text)


def report(found: dict[str, Any]) -> str:
    """Write the tables in GitHub's Markdown."""
    results = [Result(**each) for each in found["results"]]
    if not any("GPU" in each.what for each in results):
        results += [each._replace(detail="not measured: no GPU") for each in GPU_ROWS]
    machine = ", ".join(f"{k} {v}" for k, v in found["machine"].items() if v is not None)
    parts = [
        "# Benchmarks",
        "Ratios are medians over interleaved repeats (A B A B …) in one run of `make bench`, which"
        f" took {found['minutes']} minutes on this machine: {machine}.",
        _table(results),
    ]
    for name, title in TABLES.items():
        if name in found:
            table = tabulate(found[name], "keys", tablefmt="github", floatfmt=".3g", intfmt=",")
            parts += [f"## {title}", table]
    return "\n\n".join(parts) + "\n"


def _table(results: list[Result]) -> str:
    rows = [
        [each.what, _value(each), _limit(each.must), _limit(each.aim), _mark(each), each.detail]
        for each in results
    ]
    head = ["what", "measured", "must reach", "aim", "", "behind it"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _value(result: Result) -> str:
    if result.value is None:
        return "not measured"
    return f"{result.value:.3g} {result.unit}"


def _limit(limit: str) -> str:
    return limit.replace(">=", "≥").replace("<=", "≤")


def _mark(result: Result) -> str:
    if meets(result.value, result.aim):
        return "aim"
    return {True: "met", False: "**missed**", None: ""}[meets(result.value, result.must)]


if __name__ == "__main__":
    sys.exit(run_command(main))
