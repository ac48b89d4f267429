"""Frameworks that own the training loop: a callback for each, which watches their trainings.

- lightning: a Callback of Lightning
- huggingface: a TrainerCallback of transformers
- callback: what both share
- extras: the error where a framework is not installed

Each needs an extra of the same name, and is imported by its own name: `vanishing` imports neither.
"""
