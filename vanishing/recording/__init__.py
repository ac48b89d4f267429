"""Recording of the values and gradients in a network, on a probe and while it trains.

- layers: the weight layers of a network
- probe: values and gradients of each weight layer on a fixed batch
- snapshots: statistics of a training run's snapshots on a probe
- initialisation: statistics of fresh initialisations on a probe
- trace: statistics of gradients, weights and updates while a network trains

and of any training loop that `vanishing.watch` watches:

- parameters: their names and order, and the choice among them
- step_trace: gradients, weights and updates of one step
- optimizer_steps: the steps of one optimizer, by PyTorch's hooks
- interception: clipping and skipped steps, for which PyTorch has no hooks
- step_tables: a traced step as columns of tables
- module_calls: outputs of modules, and the gradients that come back to them
- module_places: which modules count with which optimizer's steps
- module_tables: calls of modules as columns of tables
- processes: networks that several processes train together
- watch_probe: a pass of a batch that changes nothing
- watch_tables: all steps as columns of further tables
- description: parameters, optimizers and machine for run.json
"""
