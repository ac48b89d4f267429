"""Measure speed against the alternatives: `python -m benchmarks [NAME …]`, all by default.

In: params.yaml, data/raw, and, for what they are about, models/ and dvc.lock. Out: a table on
stdout, reports/benchmarks.md and reports/benchmarks.json; there what was measured on the same
machine before stays, if it was not measured now.
"""

import argparse
import importlib
import sys
import time
from typing import Any

from tabulate import tabulate

from benchmarks import measuring
from benchmarks.measuring import Result, meets
from vanishing.errors import StudyError, run_command
from vanishing.files import RAW, REPORTS, read_json, write_json, write_text

NAMES = ("training", "recording", "extraction", "pipeline", "parallel", "scale", "load")
GPU_ROWS = [
    Result("a GPU: epoch, usual loop over ours, same GPU", None, ">= 40", ">= 100", "×", ""),
    Result("a GPU: all variants, all stages, wall time", None, "<= 120", "<= 45", "s", ""),
]
TABLES = {
    "sleeping": ("parallel", "Ten stages that sleep for 3 s, side by side"),
    "networks": ("scale", "Cost against width and depth"),
    "files": ("scale", "Size of the study's Parquet files"),
    "load": ("load", "Time and memory of the closing stages, tiny networks"),
    "growth": ("scale", "Size against epochs and layers, ten traced steps an epoch"),
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
    everything = known(measuring.machine())
    for name in names:
        begun = time.monotonic()
        module = importlib.import_module(f"benchmarks.{name}")
        for table, (place, _) in TABLES.items():
            if place == name:
                everything["tables"][table] = getattr(module, table)()
        if hasattr(module, "measure"):
            found = module.measure()
            everything["results"][name] = [each._asdict() for each in found]
            print(_table(found), flush=True)
        everything["minutes"][name] = round((time.monotonic() - begun) / 60, 1)
        # After each: what is known is kept, should a later one fail.
        write_json(REPORTS / "benchmarks.json", everything)
        write_text(REPORTS / "benchmarks.md", report(everything))
    print(report(everything))


def known(machine: dict[str, Any]) -> dict[str, Any]:
    """Return what reports/benchmarks.json has of this machine; nothing of another."""
    path = REPORTS / "benchmarks.json"
    if path.exists() and read_json(path)["machine"] == machine:
        found: dict[str, Any] = read_json(path)
        return found
    return {"machine": machine, "minutes": {}, "results": {}, "tables": {}}


def report(found: dict[str, Any]) -> str:
    """Write the tables in GitHub's Markdown."""
    results = [Result(**row) for name in NAMES for row in found["results"].get(name, [])]
    if not any("GPU" in each.what for each in results):
        results += [each._replace(detail="not measured: no GPU") for each in GPU_ROWS]
    machine = ", ".join(f"{k} {v}" for k, v in found["machine"].items() if v is not None)
    parts = [
        "# Benchmarks",
        "Ratios are medians over interleaved repeats (A B A B …). All of `make bench` took"
        f" {sum(found['minutes'].values()):.0f} minutes on this machine: {machine}.",
        _table(results),
    ]
    for name, (_, title) in TABLES.items():
        if name in found["tables"]:
            table = tabulate(
                found["tables"][name], "keys", tablefmt="github", floatfmt=".3g", intfmt=","
            )
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
