"""Where MLflow keeps its runs."""

import os

DEFAULT = "sqlite:///mlflow.db"


def uri() -> str:
    """Return the store that MLFLOW_TRACKING_URI names, or else the one in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
