"""A run that `vanishing.watch` recorded, taken over as a variant's only training run.

A watched loop says nothing of epochs, test images and weights. So `history`, `layers`, `histograms`
and the tables of fresh initialisations have no rows, and no weights are kept.
"""

from pathlib import Path
from typing import Any

from vanishing import paths
from vanishing.errors import StudyError
from vanishing.files import read_json, write_text
from vanishing.params.study import Recorded, Study
from vanishing.paths import PARAMS
from vanishing.results import tables, watched
from vanishing.results.run import Machine, RecordedRun
from vanishing.results.schemas import SCHEMAS

_TABLES = ("trace", "trace_histograms", "losses", "units")  # that a run has as the study has them


def check(study: Study) -> None:
    """Check that each recorded variant of a study leads to a run with traced steps."""
    for name, variant in study.variants.items():
        if isinstance(variant, Recorded):
            _read_description(name, variant)


def write_record(name: str, seed: int, variant: Recorded) -> None:
    """Write run.json of a variant's run, and in place of weights a text that there are none."""
    content = _read_description(name, variant)
    machine = Machine.model_validate(content["machine"])
    RecordedRun(
        variant=name, seed=seed, recorded=variant.recorded, machine=machine, watched=content
    ).save()
    note = paths.run_folder(paths.MODELS, name, seed) / "README.txt"  # DVC warns of empty folders
    write_text(note, f"vanishing.watch keeps no weights; {variant.recorded} has the tables.\n")


def write_tables(parent: Path, name: str, variant: Recorded, seed: int | None = None) -> None:
    """Write the tables that a stage writes: those that the run has, and the others without rows.

    Args:
        parent: The folder of the stage's tables: TRAINING, STATISTICS or INITIALISATION of `paths`.
        name: Of the variant.
        variant: It leads to the run.
        seed: Of the study; None for tables of INITIALISATION.
    """
    if seed is None:
        for table in paths.TABLES_BY_VARIANT:
            tables.write(table, name, [])
        return
    for table in (name for name, folder in paths.TABLES_BY_SEED.items() if folder == parent):
        pieces = []
        if table in _TABLES:
            rows = watched.read_rows(Path(variant.recorded), table, SCHEMAS[table])
            rows = rows.drop_columns(["variant", "seed"])
            pieces.append({column: rows[column] for column in rows.column_names})
        tables.write_pieces(table, name, seed, pieces)


def _read_description(name: str, variant: Recorded) -> dict[str, Any]:
    """Read the description of a variant's run, and check that the run has traced steps.

    Args:
        name: Of the variant.
        variant: It leads to the run.

    Returns:
        The content of the folder's run.json.

    Raises:
        StudyError: If the folder holds no run, no traced step, or a file that cannot be read.
    """
    key, folder = f"{PARAMS}: variants.{name}.recorded", Path(variant.recorded)
    given = f"should be the folder of a run of vanishing.watch; given {variant.recorded!r}"
    path = watched.record_path(folder)
    if not path.is_file():
        raise StudyError(f"{key}: {given}, which has no {path.name}")
    try:
        content: dict[str, Any] = read_json(path)
        is_watched = content["kind"] == watched.KIND and Machine(**content["machine"])
    except (OSError, ValueError, KeyError, TypeError):  # ValueError: not JSON, or another machine
        is_watched = False
    if not is_watched:
        raise StudyError(f"{key}: {given}, whose {path.name} describes no such run")
    try:
        steps = watched.read_rows(folder, "trace", SCHEMAS["trace"]).num_rows
    except StudyError as error:
        raise StudyError(f"{key}: {error}") from None
    if not steps:
        raise StudyError(
            f"{key}: should have a traced step; {variant.recorded!r} has none"
            " (watch.flush() or the end of the watch writes them)"
        )
    return content
