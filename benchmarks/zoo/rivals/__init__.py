"""What other tools say of the zoo's trainings, for `make bench NAMES=rivals`.

- `alarms`: which tools, how they watch a training, and which of their words count as an alarm
- `answers`: what a tool said of a training, kept in data/zoo
"""
