"""Mean-field theory of networks at initialisation.

- meanfield: the library's multilayer perceptron: variances of preactivations and ratios of
  gradients, layer by layer; without torch
- network: the same of any network; a room of its own, which needs torch
- comparison: predictions beside measurements of fresh initialisations
- prediction: a text with the predictions for a variant, for `vanishing predict`
"""
