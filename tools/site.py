"""Put the pages to explore of all studies into one folder: `python -m tools.site`, for CI.

In: reports/index.html of each study, as DVC has it. Out: site/index.html, that of the root's study,
and site/studies/NAME/index.html, for GitHub Pages. Nothing is written where a page is missing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from tools.studies import study_folders
from vanishing.errors import StudyError, run_command
from vanishing.explorer.page import INDEX
from vanishing.paths import LOCK

SITE = Path("site")


def main(argv: list[str]) -> None:
    """Copy the pages.

    Raises:
        StudyError: If a study that has run has no page.
    """
    argparse.ArgumentParser(prog="python -m tools.site", description=__doc__).parse_args(argv)
    folders = study_folders(Path(), LOCK)
    for folder in folders:
        if not (folder / INDEX).is_file():
            raise StudyError(
                f"{folder / INDEX}: is not there; make repro writes it, and a DVC remote keeps it"
                " (docs/ci.md)"
            )
    shutil.rmtree(SITE, ignore_errors=True)
    for folder in folders:
        target = SITE / folder / INDEX.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / INDEX, target)
        print(target)


if __name__ == "__main__":
    sys.exit(run_command(main))
