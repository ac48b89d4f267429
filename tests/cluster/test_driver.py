"""The estimate of the remaining time, and the names of logs."""

import math
from pathlib import Path

from cluster.driver import log, remaining_s
from cluster.worker import Outcome


def outcome(state: str, seconds: float) -> Outcome:
    """Return how a stage ended, and after how long."""
    return Outcome(state, seconds, "host", "", {}, b"")


def test_stages_of_one_name_are_taken_to_need_equal_times() -> None:
    due = ["train@a", "train@b", "extract@a", "extract@b"]
    outcomes = {"train@a": outcome("done", 10.0), "extract@a": outcome("failed", 2.0)}
    # 12 s left, and until now two ran at a time: 12 s in 6 s.
    assert remaining_s(due, outcomes, elapsed_s=6.0) == 6.0
    # A stage of a name that has not ended counts as the mean of all.
    assert remaining_s([*due, "join"], outcomes, elapsed_s=6.0) == 9.0
    assert remaining_s(list(outcomes), outcomes, elapsed_s=6.0) == 0.0


def test_there_is_no_estimate_before_a_stage_has_run() -> None:
    assert math.isnan(remaining_s(["a", "b"], {}, elapsed_s=1.0))
    assert math.isnan(remaining_s(["a", "b"], {"a": outcome("unchanged", 0.0)}, elapsed_s=1.0))


def test_each_stage_has_a_log_of_its_own_in_one_folder() -> None:
    assert log("studies/one/dvc.yaml:train@a-0") == Path(
        ".dvc/tmp/cluster/studies_one_dvc.yaml_train@a-0.log"
    )
