"""Speed, measured side by side with the alternatives: `python -m benchmarks`.

A module of `__main__.NAMES` measures one subject: its `measure` returns the rows of the report.

- `measuring`: ratios from interleaved repeats; `machine`, `peak`: the machine, a stage's memory
- `baselines`: how others train and record
- `study`, `copies`: small studies, and studies of many variants
- `repository`: a repository with a generated pipeline

`zoo` measures no speed: it is a collection of trainings, with a command of its own.
"""
