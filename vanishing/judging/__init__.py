"""Verdicts: a study's tables reduced to metrics, held against health rules and an article's claims.

Nothing here reads or writes a file. `study.judge_study` does all of it.

- study: all variants and all claims in one call
- metrics: one variant in a few numbers
- health, checks: the health rules; a check finds the worst value and holds it against a limit
- runs, blocks: the rules on a watched training, and its network in depth order
- verdicts: the rows of health.json by rule, in words, and against what params.yaml expects
- article, claims: what the article says, as a table; how a statement is judged
- findings: what a study shows, in plain sentences with their numbers
- formulas, effects: an effect as a formula; the functions of pandas that formulas are made of
- limits: a relation and a value, for rules and claims alike
"""
