"""The stages of a dvc.yaml side by side, on one machine or many, with Ray: `python -m cluster`."""
