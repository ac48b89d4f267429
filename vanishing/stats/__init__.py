"""Statistics of a tensor, and intervals of means.

- exact: a summary in a few numbers, in float64
- fast: a summary in a few passes, for gradients while a network trains
- histograms: counts in equal bins and in powers of two
- units: shares of a layer's units, and of preactivations where the activation is flat
- constant_units: units of one value, of tensors that come one after another
- gradients: how a gradient shrinks from layer to layer
- intervals: means with bootstrap intervals; without torch
"""
