"""What is stale, from what DVC says and from what stages need of each other."""

from typing import Any

from tools import stale

LOCKED = {
    "download": {"outs": [{"path": "data/raw"}]},
    "train@a": {"deps": [{"path": "data/raw"}], "outs": [{"path": "models/a"}]},
    "train@b": {"deps": [{"path": "data/raw"}], "outs": [{"path": "models/b"}]},
    "diagnose": {"deps": [{"path": "models"}], "outs": [{"path": "reports/metrics.json"}]},
    "track": {"deps": [{"path": "reports/metrics.json"}]},
}


def test_what_is_only_missing_is_not_stale() -> None:
    status = {
        "train@a": [
            {"changed deps": {"data/raw": "deleted"}},
            {"changed outs": {"models/a": "deleted"}},
        ],
        "diagnose": [{"changed deps": {"models": "deleted"}}],
    }
    assert stale.direct(status) == {}


def test_changed_code_parameters_and_commands_are_named() -> None:
    status: dict[str, list[Any]] = {
        "train@a": [
            {
                "changed deps": {
                    "data/raw": "deleted",
                    "stages/train.py": "modified",
                    "params.yaml": {"train.epochs": "modified", "train.new": "new"},
                }
            },
            "changed command",
        ],
    }
    found = "stages/train.py modified, train.epochs modified, train.new new, changed command"
    assert stale.direct(status) == {"train@a": found}


def test_what_follows_is_stale_too_and_no_more() -> None:
    assert stale.followed({"train@a": "why"}, LOCKED) == {
        "train@a": "why",
        "diagnose": "needs models/a of train@a",
        "track": "needs reports/metrics.json of diagnose",
    }
