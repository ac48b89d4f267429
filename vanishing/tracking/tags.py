"""The tags by which MLflow's runs and experiment are known, nested, described and shown."""

# Of a run:
VARIANT = "study.variant"
SEED = "study.seed"
VERDICT = "study.verdict"  # on a variant, as in reports/metrics.json
LEARNING = "study.learning"  # whether it learns, in sentences, as in health.json and runs.json
IDENTITY = "study.identity"  # of the results that it mirrors
TRAINING = "study.training"  # the training that it showed live
TIMES = "study.times"  # the trainings from which its start and its end are
PROCESS = "study.process"  # the viewer that writes it while it is running
FIGURES = "study.figures"  # a digest of the figures among its artifacts
WEIGHTS = "study.weights"  # there if the weights are among its artifacts; a clone may lack them
SUPERSEDED = "study.superseded"  # why the results that it mirrors are no longer current
PARENT = "mlflow.parentRunId"  # the variant's run, under which MLflow shows a training run
COLOR = "mlflow.runColor"  # of its lines
SOURCE = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
COMMIT = "mlflow.source.git.commit"

# Of a run or of the experiment:
NOTE = "mlflow.note.content"  # the description
DESCRIBED = "mlflow.note.digest"  # of the description that this project wrote last; not shown

# Of the experiment:
VIEW = "mlflow.sharedViewState."  # and the key of a saved view

ARTIFACTS_OF_TAG = {FIGURES: "figures", WEIGHTS: "models"}  # {tag: folder of artifacts}
