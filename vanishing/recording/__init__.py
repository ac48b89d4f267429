"""Recording of the values and gradients in a network, on a probe and while it trains.

- layers: the weight layers of a network
- probe: values and gradients of each weight layer on a fixed batch
- snapshots: statistics of a training run's snapshots on a probe
- initialisation: statistics of fresh initialisations on a probe
- trace: statistics of gradients, weights and updates while a network trains
"""
