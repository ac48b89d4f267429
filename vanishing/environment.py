"""Environment variables that have to be set before torch is imported."""

import os


def prepare() -> None:
    """Set OMP_WAIT_POLICY to `passive`, unless the user has set it.

    OpenMP reads the variable once, when torch is imported: call this first. By default a thread
    that has finished its share spins while it waits for the others, and takes the processor from
    the thread that it waits for where other programs run too. On two cores beside two busy
    processes, a step of the article's network took 135 to 370 ms by default and 61 to 74 ms with
    `passive`. Results do not change.

    Every command of this project calls this function. `import vanishing` does not: in a user's
    own program the environment is the user's.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
