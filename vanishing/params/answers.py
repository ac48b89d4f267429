"""The answers to whether a training learns: what is said of it, and what may be expected."""

from typing import Literal

Answer = Literal["will not learn", "learns", "too early to say"]
WILL_NOT_LEARN: Answer = "will not learn"
LEARNS: Answer = "learns"
TOO_EARLY: Answer = "too early to say"
ANSWERS: tuple[Answer, ...] = (WILL_NOT_LEARN, LEARNS, TOO_EARLY)

LEARNING = "learning"  # its name beside those of the health rules
