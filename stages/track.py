"""Mirror the results in MLflow: `python -m stages track [--insist]`.

In: params.yaml (`root`, `train.seeds`, `variants`), dvc.lock, models/, data/, reports/ and the
journals. Out: exactly one finished MLflow run per variant, one per training run and one for the
report, in the store that MLFLOW_TRACKING_URI names, or else in the repository's mlflow.db; runs of
changed or removed results are marked. Running it again changes nothing. A store that fails is one
warning, and the next `track` completes the mirror. In a temporary copy of the repository, which
`dvc exp` makes and deletes, only dvc.lock is checked. With `--insist` it is an error, and the store
is looked at even if the last `track` mirrored the same results.
"""

import argparse
import sys
from pathlib import Path

from vanishing.errors import StudyError
from vanishing.files import write_json
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.paths import IDENTITIES, MIRROR
from vanishing.pipeline import lock
from vanishing.reporting import colors
from vanishing.tracking import identity


def main(argv: list[str]) -> None:
    """Mirror every variant, every training run and the report.

    Raises:
        StudyError: If dvc.lock records other results; if MLflow fails, and `--insist` is given.
    """
    parser = argparse.ArgumentParser(prog="python -m stages track", description=__doc__)
    parser.add_argument("--insist", action="store_true", help="look again, and fail if MLflow does")
    insist = parser.parse_args(argv).insist
    study = load(Judged)
    results = lock.read()
    entries = identity.entries(study, results)
    identities = identity.identities(study, entries)
    write_json(IDENTITIES, identities)
    if identity.is_temporary(Path(study.root)):
        print("MLflow: nothing is written from a temporary copy; see docs/experiments.md")
        return
    experiment = identity.experiment(Path(study.root))
    if not insist and identity.is_mirrored(experiment, identities):
        print("MLflow: nothing new")
        return
    results.check_weights()
    # Their imports take seconds, which a pipeline with nothing to do is spared.
    from vanishing.tracking.connection import StoreError  # noqa: PLC0415
    from vanishing.tracking.mirror import mirror  # noqa: PLC0415

    MIRROR.unlink(missing_ok=True)
    try:
        experiment_id, written = mirror(
            study, entries, identities, colors.of_variants(list(study.variants))
        )
    except StoreError as error:
        if insist:
            raise StudyError(f"{error}; then run `make track` again") from None
        print(f"warning: {error}; `make track` completes the mirror", file=sys.stderr)
        return
    identity.note_mirrored(experiment, experiment_id, identities)
    print(f"MLflow: {written} runs written, {len(identities) - written} were there already")
