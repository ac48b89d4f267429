"""How a network is trained.

- loop: epochs, losses, evaluation, the trace, snapshots
- steps: the steps of an epoch, on a GPU captured
- optimizers: the optimizer of a training
- sgd: stochastic gradient descent within the backward pass
- precision: float32, or mixed with bfloat16
- checkpoint: the state from which an interrupted training is resumed
"""
