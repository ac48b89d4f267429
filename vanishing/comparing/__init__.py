"""Two folders of results side by side: what changed, by more than noise, and why.

`results.Results` holds the texts of one folder, wherever they come from: nothing here knows Git.
`comparison.compare` takes two of them.

- results: the files of one folder, parsed
- noise: how far a number moves by rounding, and what seeds explain (docs/decisions/0013)
- differences: variants, verdicts, claims and numbers that differ
- causes: parameters, code, and the stages that ran again for them
- conditions, states: machines and libraries; results that do not belong together
- comparison: all of it in one call
- answer, page: a comparison in three lines, and as Markdown
- words: names, numbers and tables in Markdown
- curves: the one figure of a comparison
- runs: two watched trainings, for a terminal
"""
