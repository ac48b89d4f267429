"""The pipeline: a module per stage of dvc.yaml; `python -m stages NAME` runs one."""
