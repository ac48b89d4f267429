"""Mean-field theory of any network at initialisation, on tensors of second moments.

- walk: the walk through a network's graph, and what it predicts
- recursions: single steps, with their formulas and sources
- layers, operations: which step a module, function or method is
- draws: the variance of a layer's weights, and whether they are drawn independently
- built: predictions for a variant whose network a function returns

docs/theory.md says of which networks there is theory, and how well it holds.
"""
