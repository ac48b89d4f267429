"""The map of the disk: every path of a study, relative to the study's folder.

A study's folder holds params.yaml; the stages run with it as the working directory.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")

VALIDATED = Path("data/validated")
FINGERPRINTS = Path("data/fingerprints")
RAW = Path("data/raw")
MODELS = Path("models")
TRAINING = Path("data/training")
STATISTICS = Path("data/statistics")
INITIALISATION = Path("data/initialisation")

REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"
HEALTH = REPORTS / "health.json"
CLAIMS = REPORTS / "claims.json"
RUNS = REPORTS / "runs.json"
REPORT = REPORTS / "README.md"
FIGURES = REPORTS / "figures"
PLOTS = REPORTS / "plots"

# State that is no result: Git ignores it and DVC does not know it.
JOURNALS = Path(".study/journals")
CHECKPOINTS = Path(".study/checkpoints")
IDENTITIES = Path(".study/identities.json")  # of the runs that MLflow should hold, from `track`
MIRROR = Path(".study/mirror.json")  # the runs and the store of the last `track` that succeeded

# The code, relative to the root of the repository.
LIBRARY = Path("vanishing")
STAGES = Path("stages")
TEMPLATE = LIBRARY / "reporting/report.md.j2"
EFFECTS = LIBRARY / "judging/effects.py"
ARTICLE = LIBRARY / "judging/article.py"

# {table: the folder that has one of it per variant and seed, or per variant}
TABLES_BY_SEED = {
    "history": TRAINING,
    "losses": TRAINING,
    "trace": TRAINING,
    "trace_histograms": TRAINING,
    "layers": STATISTICS,
    "histograms": STATISTICS,
    "units": STATISTICS,
}
TABLES_BY_VARIANT = {
    "initialisation": INITIALISATION,
    "depths": INITIALISATION,
    "theory": INITIALISATION,
}


def stage_fingerprint(stage: str) -> Path:
    """Return the path of the fingerprint of a stage's code."""
    return FINGERPRINTS / stage


def variant_fingerprint(variant: str) -> Path:
    """Return the path of the fingerprint of the code that a variant names."""
    return FINGERPRINTS / "variants" / variant


def run_folder(parent: Path, variant: str, seed: int) -> Path:
    """Return the folder of one training run in MODELS, TRAINING or STATISTICS."""
    return parent / variant / f"seed-{seed}"


def run_record(variant: str, seed: int) -> Path:
    """Return the path of the parameters that a training run resolved."""
    return run_folder(TRAINING, variant, seed) / "run.json"


def snapshot(variant: str, seed: int, epoch: int) -> Path:
    """Return the path of the weights after `epoch` epochs; 0 is the initialisation."""
    return run_folder(MODELS, variant, seed) / f"epoch-{epoch:03d}.safetensors"


def table(name: str, variant: str, seed: int | None = None) -> Path:
    """Return the path of a table.

    Args:
        name: A key of TABLES_BY_SEED or TABLES_BY_VARIANT.
        variant: Of the table.
        seed: Of the training run; None for a table of TABLES_BY_VARIANT.

    Returns:
        The path.
    """
    if seed is None:
        return TABLES_BY_VARIANT[name] / variant / f"{name}.parquet"
    return run_folder(TABLES_BY_SEED[name], variant, seed) / f"{name}.parquet"


def figure(name: str) -> Path:
    """Return the path of a figure of several variants."""
    return FIGURES / f"{name}.png"


def card(variant: str) -> Path:
    """Return the path of the figure that shows one variant alone."""
    return FIGURES / "variants" / f"{variant}.png"


def plot(name: str) -> Path:
    """Return the path of the data of one of DVC's plots."""
    return PLOTS / f"{name}.csv"


def journal(variant: str, seed: int) -> Path:
    """Return the path of a training run's journal."""
    return JOURNALS / f"{variant}-seed-{seed}.jsonl"


def checkpoint(variant: str, seed: int) -> Path:
    """Return the folder of a training run's checkpoint."""
    return run_folder(CHECKPOINTS, variant, seed)
