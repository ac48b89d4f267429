"""Some 600 small trainings whose truth is what became of them: `python -m benchmarks.zoo`.

It is no study: a stage of DVC costs about as much as one of these 3,000 trainings. What a verdict
about a training is worth can be measured on them (docs/decisions/0023).

- `cases`: what is trained; `alterations`, `data`, `networks`: what cases are made of
- `training`: one training; `outcomes`: those that are kept in data/zoo, and those that are missing
- `truth`: the rule; `split`: for development, held out, unseen
"""
