"""Print the closing table of `make repro`: `python -m tools.summary`.

In: params.yaml, reports/metrics.json, and all that `tools.stale` reads. Out, on stdout: a row per
variant, the path of the report from the root of the repository, and where the charts are in MLflow.
Rows that are not of the current results are marked as stale.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from tools import stale
from vanishing import paths
from vanishing.errors import StudyError, run_command
from vanishing.files import read_json
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.pipeline import lock
from vanishing.reporting.markdown import missing_number, number, percent
from vanishing.results import summaries
from vanishing.tracking import identity, pages

_HEADERS = ("variant", "test accuracy", "attenuation at initialisation", "verdict")
_ALIGNMENT = ("left", "right", "right", "left")


def main(_argv: list[str]) -> None:
    """Print the table of the study in the working directory."""
    show(stale.stale_stages(stale.dvc_status()))


def show(reasons: Mapping[str, str]) -> None:
    """Print the table.

    Args:
        reasons: {stage: reason} of the stale stages.
    """
    study = load(Study)
    metrics_by_variant = summaries.read(paths.METRICS)
    outdated = stale_variants(study) if stale.JUDGING in reasons else set()
    rows = [
        [
            name,
            percent(metrics["test_accuracy"], missing_number(study.variants.get(name))),
            number(metrics["attenuation_init"], missing_number(study.variants.get(name))),
            f"stale: {metrics['verdict']}" if name in outdated else metrics["verdict"],
        ]
        for name, metrics in metrics_by_variant.items()
    ]
    table = tabulate(rows, _HEADERS, disable_numparse=True, colalign=_ALIGNMENT)
    folder = Path.cwd().relative_to(Path(study.root).resolve())
    note = ""
    if outdated:
        reason = reasons[stale.JUDGING]
        note = f"\n\nstale: {stale.JUDGING}: {reason}; `make repro` judges the rows again"
    print(f"\n{table}{note}\n\nreport: {folder / paths.REPORT}\nMLflow: {charts(study)}")


def charts(study: Study) -> str:
    """Return the command that shows the charts, and their address where `track` noted it."""
    experiment = identity.experiment(Path(study.root))
    experiment_id = identity.experiment_id(experiment)
    folder = Path.cwd().relative_to(Path(study.root).resolve()).as_posix()
    command = "make ui" if folder == "." else f"make ui STUDY={folder}"
    if experiment_id is None:
        return command
    address = pages.address(experiment.store, experiment_id)
    return address if pages.is_server(experiment.store) else f"{command}, {address}"


def stale_variants(study: Study) -> set[str]:
    """Return the variants whose results are no longer those that `diagnose` judged.

    `track`, which ran after it, has left the identities of the results that it judged.

    Args:
        study: Its variants and seeds.

    Returns:
        Their names; those of all variants where it is not known.
    """
    try:
        noted = read_json(paths.IDENTITIES)
        current = identity.identities(study, identity.entries(study, lock.read(), of_report=False))
    except (OSError, json.JSONDecodeError, StudyError):
        return set(study.variants)
    names = {
        variant: [variant, *(identity.run_name(variant, seed) for seed in study.train.seeds)]
        for variant in study.variants
    }
    changed = {
        variant
        for variant, runs in names.items()
        if any(current[run] != noted.get(run) for run in runs)
    }
    return changed or set(study.variants)


if __name__ == "__main__":
    sys.exit(run_command(main))
