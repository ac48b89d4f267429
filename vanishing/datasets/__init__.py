"""Inputs and labels: where they come from, and how they are read.

- registry: the image datasets that params.yaml can name, with their classes and shapes
- sources: where the files can be had
- download: the files, fetched and checked
- idx: the files, read as bytes; without torch
- computed: a dataset of the study's own, which a function returns
- examples: inputs and labels as tensors
"""
