"""A page on folders: on a study's, or on those of watched trainings."""

from pathlib import Path

from vanishing.errors import StudyError
from vanishing.explorer import runs, study
from vanishing.explorer.page import Page
from vanishing.params.rules import DEFAULT, read_rules
from vanishing.paths import PARAMS


def explore(*folders: Path | str, rules: Path | str | None = None) -> Page:
    """Read a study, or watched trainings, as a page to look at.

    In a notebook the page is shown by being the last value of a cell; `page.save(path)` writes it.

    Args:
        *folders: One study, which has params.yaml and results; or folders of `vanishing.watch`.
        rules: YAML with a section `diagnose`, thresholds of your own for watched trainings.

    Returns:
        The page.

    Raises:
        StudyError: If there is no folder, a study stands beside other folders, or a file is missing
            or damaged.
    """
    paths = [Path(folder) for folder in folders]
    studies = [path for path in paths if (path / PARAMS).is_file()]
    if not paths or (studies and len(paths) > 1):
        given = ", ".join(map(str, paths)) or "no folder"
        raise StudyError(f"a page is of one study, or of watched trainings; given {given}")
    if studies:
        return study.collect(paths[0])
    return runs.collect(paths, read_rules(Path(rules or DEFAULT)))
