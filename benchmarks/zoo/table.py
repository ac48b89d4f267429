"""The table of truths, which `python -m benchmarks.zoo` writes and scores read."""

from pathlib import Path

import pandas as pd

from vanishing.errors import StudyError

TABLE = Path("benchmarks/zoo/truth.csv")


def read_truths(path: Path = TABLE) -> pd.DataFrame:
    """Read the truth of each case.

    Args:
        path: The table.

    Returns:
        A row per case, by its name: half, truth, late (bool), cause, layer, …; what a case does not
        have is None.

    Raises:
        StudyError: If the truth was not found out.
    """
    if not path.exists():
        raise StudyError(f"{path} is missing; python -m benchmarks.zoo finds it out")
    rows = pd.read_csv(path, index_col="name", dtype={"slow": object})
    return rows.astype(object).where(rows.notna(), None).assign(late=rows["late"].astype(bool))
