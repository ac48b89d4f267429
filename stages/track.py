"""Mirror the results in MLflow: `python -m stages.track`.

In: params.yaml (`variants`), dvc.lock, models/, data/statistics/, reports/, and the journals.
Out: exactly one finished MLflow run per variant and one for the report, in the store that
MLFLOW_TRACKING_URI names, or else in mlflow.db; runs of what has changed or gone are marked so.
Safe to run again: what is there already is left as it is. A store that fails is one warning, and
the next `track` completes the mirror; with `--insist` it is an error, and nothing is taken on trust
of what the last `track` saw.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vanishing.errors import StudyError
from vanishing.files import read_json, write_json
from vanishing.params import base as section
from vanishing.params.study import Study
from vanishing.pipeline import lock
from vanishing.pipeline.guard import run_stage
from vanishing.tracking import identity as store

OUT = Path(".study/identities.json")  # what should be mirrored, wherever; DVC's sign that it was
SEEN = Path(".study/mirror.json")  # what the last `track` that was through saw, and where


def main(argv: list[str]) -> None:
    """Mirror every variant and the report.

    Raises:
        StudyError: If dvc.lock does not speak of what is here; if MLflow fails, and `--insist`.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.track", description=__doc__)
    parser.add_argument("--insist", action="store_true", help="look again, and fail if MLflow does")
    insist = parser.parse_args(argv).insist
    entries = lock.entries([*section.load(Study).variants, lock.REPORT])
    identities = lock.identities(entries)
    write_json(OUT, identities)
    now: dict[str, Any] = {"store": store.uri(), "runs": identities}
    if not insist and seen_before(now):
        print("MLflow: nothing new")
        return
    # Seconds that a pipeline with nothing to do is spared.
    from vanishing.tracking.mirror import mirror  # noqa: PLC0415
    from vanishing.tracking.store import StoreError  # noqa: PLC0415

    SEEN.unlink(missing_ok=True)
    try:
        written = mirror(entries, identities)
    except StoreError as error:
        if insist:
            raise StudyError(f"{error}; run `make track` again once it is there") from None
        print(f"warning: {error}; `make track` completes the mirror", file=sys.stderr)
        return
    write_json(SEEN, now)
    print(f"MLflow: {written} runs written, {len(identities) - written} were there already")


def seen_before(now: dict[str, Any]) -> bool:
    """Tell whether the last `track` saw all this, in a store that is there for all we know."""
    try:
        seen = read_json(SEEN)
    except (OSError, json.JSONDecodeError):
        return False
    file = str(now["store"]).removeprefix("sqlite:///")
    return bool(seen == now) and (file == now["store"] or Path(file).exists())


if __name__ == "__main__":
    sys.exit(run_stage(main))
