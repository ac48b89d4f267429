"""The addresses of MLflow's pages, as far as they can be known without importing MLflow.

MLflow 3.17 shows pages for language models, whatever the experiment holds, unless the address asks
for those of trained models: by `workflowType`, which other versions ignore. `viewStateShareKey`
names a saved view of `tracking.views`, and `compareRunsMode` opens its charts.
"""

from urllib.parse import quote, urlencode

from vanishing.errors import redact

HOST = "127.0.0.1"
PORT = 5000  # of `make ui`
CHARTS, TABLE = "study-charts", "study-table"  # keys of the saved views

_TRAINED_MODELS = {"workflowType": "machine_learning"}


def address(store: str, experiment_id: str, port: int = PORT) -> str:
    """Return the whole address of the charts.

    Args:
        store: The address of MLflow's store.
        experiment_id: MLflow's id of the study's experiment.
        port: Of the server that `make ui` starts; a store that is a server itself needs none.

    Returns:
        The address.
    """
    server = redact(store).rstrip("/") if is_server(store) else f"http://{HOST}:{port}"
    return f"{server}/{of_view(experiment_id, CHARTS)}"


def is_server(store: str) -> bool:
    """Return whether a store's address is that of a server of MLflow's."""
    return store.startswith(("http://", "https://"))


def of_view(experiment_id: str, key: str) -> str:
    """Return the address of a saved view, from the server's address on."""
    mode = "TABLE" if key == TABLE else "CHART"
    query = {"viewStateShareKey": key, "compareRunsMode": mode, **_TRAINED_MODELS}
    return f"#/experiments/{experiment_id}/runs?{urlencode(query)}"


def of_artifact(experiment_id: str, run_id: str, path: str) -> str:
    """Return the address of a run's artifact, from the server's address on."""
    place = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}"
    return f"{place}?{urlencode(_TRAINED_MODELS)}"
