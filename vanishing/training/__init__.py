"""How a network is trained.

- loop: epochs, losses, evaluation, the trace, snapshots
- sgd: stochastic gradient descent within the backward pass
- checkpoint: the state from which an interrupted training is resumed
"""
