"""Around DVC: which code a stage depends on, and how a stage runs.

- source: the definitions that a module uses, read from the source text
- fingerprint: texts that change when that code does; each stage depends on one
- guard: fails a stage whose inputs change while it runs
- lifetime: ends a stage whose DVC has ended
- lock: reads dvc.lock
"""
