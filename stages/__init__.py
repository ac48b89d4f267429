"""The pipeline: one module per stage of dvc.yaml, and in `core` what the stages share."""
