"""Around DVC: which code a stage depends on, and how a stage runs.

- syntax: the names that one module binds, and the names that its statements refer to
- source: the definitions that a module uses, directly or not, read from the source text
- fingerprint: texts that change when that code does; each stage depends on one
- guard: fails a stage whose inputs change while it runs
- folders: refuses folders of results that are links to another place
- lifetime: ends a stage whose DVC has ended
- lock: reads dvc.lock, and compares files with it
- leftovers: removes the outputs of variants and seeds that params.yaml no longer has
"""
