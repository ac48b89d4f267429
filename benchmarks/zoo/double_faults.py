"""Cases with two faults at once: one of the network, and a learning rate that is wrong as well."""

from dataclasses import replace

from benchmarks.zoo.cases import FAULTS, Case
from benchmarks.zoo.split import Half, bases_of

_OF_NETWORK = ("deep-sigmoid", "depth-24", "weights-10", "weights-0.01", "dead-relu")
_OF_RATE = ("rate-30-fold", "rate-a-30th")


def double_faults(part: Half) -> list[Case]:
    """Return cases of a half of MNIST, each base with at most one pair."""
    by_name = {fault.name: fault for fault in FAULTS}
    bases = bases_of(part)
    pairs = [(first, second) for first in _OF_NETWORK for second in _OF_RATE]
    cases = []
    for number, (first, second) in enumerate(2 * pairs):
        suitable = [base for base in bases if by_name[first].suits(base)]
        if not suitable:
            continue
        base = suitable[(7 * number) % len(suitable)]
        bases.remove(base)
        sick = by_name[second].inflict(by_name[first].inflict(base))
        cases.append(replace(sick, name=f"{base.name}+{first}+{second}", twin=base.name))
    return cases
