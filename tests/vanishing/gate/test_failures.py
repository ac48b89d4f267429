"""The error of a network that does not train."""

import pickle

from vanishing.gate.failures import DoesNotTrainError, Failure, Place

FAILURE = Failure("loss", "head", "0%", "at least 2%", "Why: × ≤ σ.", Place("/a/net.py", 3))


def test_the_text_has_all_failures_in_order_and_the_remarks() -> None:
    error = DoesNotTrainError([FAILURE, Failure("finite", "", "1", "0", "Because.")], ["a remark"])
    assert str(error).splitlines() == [
        "the network failed 2 checks:",
        "1. loss: head (/a/net.py:3): 0%, should be at least 2%. Why: × ≤ σ.",
        "2. finite: the network: 1, should be 0. Because.",
        "Note: a remark",
    ]


def test_it_comes_from_another_process_as_it_was() -> None:
    error = pickle.loads(pickle.dumps(DoesNotTrainError([FAILURE], ["a remark"])))  # noqa: S301
    assert error.failures == (FAILURE,)
    assert error.mentions == ("a remark",)


def test_a_failure_is_read_back_from_json() -> None:
    assert Failure.from_json(FAILURE.to_json()) == FAILURE
