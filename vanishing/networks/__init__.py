"""The networks that are trained.

- build: a variant's network: the multilayer perceptron, or one that a function returns
- trial: those of functions, tried on a batch before any training
- weights: a network's weights as a file has them
- mlp: the multilayer perceptron
- linear: a linear layer whose matrix products are oneDNN's on a CPU
- undisturbed: forward passes that leave a network, a batch and random states as they were
- memory: the memory that training a network takes, estimated before it is built
"""
