"""Images and labels: where they come from, and how they are read.

- registry: the datasets that params.yaml can name, with their classes and the shape of their images
- sources: where the files can be had
- download: the files, fetched and checked
- idx: the files, read as bytes; without torch
- examples: images and labels as tensors
"""
