"""Mean-field theory of a network at initialisation; without torch.

- meanfield: variances of preactivations and ratios of gradients, layer by layer
- comparison: predictions beside measurements of fresh initialisations
- prediction: a text with the predictions for a variant, for `vanishing predict`
"""
