"""Why a gradient vanishes: its way from the loss to the input, split into factors that multiply.

- explain: one forward and backward pass of a network, and what it returns
- graph: the paths through the autograd graph, taken apart into steps and joins
- calls: the modules whose calls create operations, and values that theory needs
- operations: which kind of factor an operation or a module is
- measure: norms of gradients while they come
- factors: the rows of the table
- expected: theory's value of a factor
- snapshots: the same of a study's networks
- command: `vanishing explain`

docs/explaining.md says how to read the table.
"""
