"""The folders that stages write into: DVC stores nothing that lies outside of the repository."""

from pathlib import Path

from vanishing.errors import StudyError
from vanishing.paths import INITIALISATION, MODELS, RAW, REPORTS, STATISTICS, TRAINING

_WRITTEN = (RAW.parent, RAW, TRAINING, STATISTICS, INITIALISATION, MODELS, REPORTS)


def check_folders() -> None:
    """Check that no folder of results is a link to another place, as to a larger disk.

    DVC would refuse the results, but after the stage has computed them.

    Raises:
        StudyError: If one is.
    """
    for folder in _WRITTEN:
        target = folder.resolve()
        if folder.is_symlink() and not target.is_relative_to(Path.cwd().resolve()):
            raise StudyError(
                f"{folder}: is a link to {target}, outside of this folder, and DVC would refuse its"
                f" files; put the files back into a folder {folder}, and DVC's cache, of which they"
                " then are links, onto the larger disk: dvc cache dir --local FOLDER && dvc config"
                " --local cache.type symlink && dvc checkout --relink"
            )
