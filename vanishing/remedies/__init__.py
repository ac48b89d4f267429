"""What to do about a network that does not learn: plain faults first, then changes that were tried.

- remedy: `find_remedy`, from the network as it is to the advice
- task: what is trained, on what, and how well it does
- faults: what is plainly wrong and gets no other remedy
- changes: the changes of a training that are tried
- surgery: how a network's copy is changed
- attenuations: how a change of structure attenuates the gradient, before any training
- pilots: short trainings
- advice: what is said in the end
- command: `vanishing remedy`

docs/remedies.md says how a remedy is found, and how often it heals.
"""
