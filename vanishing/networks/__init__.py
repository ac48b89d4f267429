"""The networks that are trained.

- build: a variant's network: the multilayer perceptron, or one of the study's own code
- mlp: the multilayer perceptron
- linear: a linear layer whose matrix products are oneDNN's on a CPU
- memory: the memory that training a network takes, estimated before it is built
"""
