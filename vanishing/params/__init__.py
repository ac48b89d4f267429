"""params.yaml as frozen, validated objects.

- base: the types of which sections consist
- load: reads params.yaml, and explains each mistake in one line
- study: root, code, data, train and variants: how networks are trained
- extract: how statistics are taken
- comparisons: variants that differ from their reference in more than one thing
- diagnose: thresholds of the health rules, expectations, and all sections together
- rules: the same for trainings outside of a study; rules.yaml has the defaults
"""
